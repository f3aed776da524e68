"""Where an organization stands, and what moves it: shared by the quote and the change, so that they cannot differ."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from stripe.params import SubscriptionUpdateParamsItem

from gateway.db.models import OPEN_STATES, OrganizationPlan, PlanChange, Price, Subscription
from gateway.services.plan_table import NEVER_ENROLLED, PlanState, base_item, current_subscription
from gateway.services.plan_writer import plan_of_product, subscriptions_of
from gateway.stripe_api.snapshots import ENDED

# Nothing is charged at sign-up: what the rest of the period costs waits as pending items for the billing date.
# Said explicitly in each call, as is the flexible billing mode on which it rests.
PRORATION_BEHAVIOR = "create_prorations"


@dataclass(frozen=True, kw_only=True)
class Position:
    """An organization's plan, and its living subscription if it has one."""

    state: PlanState
    subscription: Subscription | None
    base_item: dict[str, Any] | None
    """The item that stands for the plan."""

    @property
    def is_enrolled(self) -> bool:
        """Whether it has, or had, a subscription."""
        return self.state.subscription_id is not None

    @property
    def version(self) -> str | None:
        """Changes with every change of the subscription that the mirror keeps: what a quote is bound to."""
        return self.subscription.trail[-1] if self.subscription is not None else None

    def quantity_on(self, plan: str) -> int:
        """The quantity if none is asked for: as it is now where the plan stays, else one."""
        return max(self.state.quantity, 1) if plan == self.state.requested_plan else 1

    def items_for(self, price: Price, quantity: int) -> list[SubscriptionUpdateParamsItem]:
        """The items of the update that moves the subscription to ``quantity`` units of ``price``.

        Always with the item's id: without it Stripe would add a second item and bill both. Always with the quantity:
        a changed price would reset it to 1. https://docs.stripe.com/api/subscriptions/update
        """
        if self.base_item is None:
            return []
        return [{"id": self.base_item["id"], "price": price.id, "quantity": quantity}]


def open_change(session: Session, organization_id: str) -> PlanChange | None:
    """The organization's change that has not ended; the database holds it to one."""
    query = select(PlanChange).where(PlanChange.organization_id == organization_id, PlanChange.state.in_(OPEN_STATES))
    return session.scalars(query).one_or_none()


def position_of(session: Session, organization_id: str) -> Position:
    """Where the organization stands, from the local tables."""
    row = session.get(OrganizationPlan, organization_id)
    subscription = current_subscription(subscriptions_of(session, [organization_id])[organization_id])
    if subscription is not None and subscription.status in ENDED:
        subscription = None
    return Position(
        state=PlanState.of_row(row) if row is not None else NEVER_ENROLLED,
        subscription=subscription,
        base_item=base_item(subscription, plan_of_product(session))[1] if subscription is not None else None,
    )
