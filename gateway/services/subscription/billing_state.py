"""Where an organization stands, and what moves it: shared by the quote and the change, so that they cannot differ."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Text, bindparam, exists, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session
from stripe.params import SubscriptionUpdateParamsItem

from gateway.catalog import Catalog, CatalogPlan, Charge
from gateway.db.models import (
    Invoice,
    Organization,
    OrganizationPlan,
    PaymentMethod,
    Price,
    Subscription,
)
from gateway.errors import CatalogNotSynced
from gateway.services.plan_table.derive import (
    FREE,
    NEVER_ENROLLED,
    PlanState,
    select_base_item,
    select_current_subscription,
)
from gateway.services.plan_table.writer import PLAN_OF_PRODUCT
from gateway.stripe_api.snapshots import ENDED

ProrationBehavior = Literal["always_invoice", "create_prorations", "none"]


@dataclass(frozen=True, kw_only=True)
class Position:
    """An organization's plan, and its living subscription if it has one."""

    state: PlanState
    plan_version: int
    subscription: Subscription | None
    base_item: dict[str, Any] | None
    """The item that stands for the plan."""
    card: PaymentMethod | None
    """The one that is charged."""
    owes: bool
    """Whether an invoice waits for money of the organization's."""
    prices: Mapping[str, str]
    """Ids of the prices that Stripe sells at now, by their lookup keys."""

    @property
    def is_enrolled(self) -> bool:
        """Whether it has, or had, a subscription."""
        return self.state.subscription_id is not None

    @property
    def version(self) -> str | None:
        """What a quote is bound to: changes with the subscription as the mirror keeps it, and never comes back.

        Who goes up and down again has the same subscription as before, but other prorations wait for its billing date.
        """
        return f"{self.plan_version}-{self.subscription.trail[-1]}" if self.subscription is not None else None

    def quantity_on(self, plan: str) -> int:
        """The quantity if none is asked for: as it is now where the plan stays, else one."""
        return max(self.state.quantity, 1) if plan == self.state.requested_plan else 1

    @property
    def is_metered(self) -> bool:
        """Whether usage is counted, and billed when the period or the item ends."""
        return self.subscription is not None and any(item.get("metered") for item in self.subscription.items)

    def price_of(self, plan: CatalogPlan) -> str:
        """Id of the price at which Stripe sells ``plan`` now. Raises CatalogNotSynced."""
        price = self.prices.get(plan.price.lookup_key) if plan.price is not None else None
        if price is None:
            raise CatalogNotSynced(
                f"Stripe's price for the plan {plan.key} is not known here: run `gateway catalog sync`."
            )
        return price

    def items_for(self, plan: CatalogPlan, quantity: int) -> list[SubscriptionUpdateParamsItem]:
        """The items of the update that moves the subscription to ``quantity`` units of ``plan``.

        Always with the item's id: without it Stripe would add a second item and bill both. Always with the quantity:
        a changed price would reset it to 1. On Free nothing else stays: what was used of it until then is billed.
        https://docs.stripe.com/api/subscriptions/update
        """
        if self.subscription is None or self.base_item is None:
            return []
        others = [item["id"] for item in self.subscription.items if item["id"] != self.base_item["id"]]
        price = self.price_of(plan)
        base: SubscriptionUpdateParamsItem = {"id": self.base_item["id"], "price": price, "quantity": quantity}
        gone: list[SubscriptionUpdateParamsItem] = [{"id": each, "deleted": True} for each in others]
        return [base, *gone] if plan.key == FREE else [base]


def charge_for(catalog: Catalog, source: str, target: CatalogPlan) -> Charge:
    """When what a change costs or gives back is settled: as the plan says that is paid for, also when it is left."""
    left = catalog.find(source) if target.key == FREE else None
    return (left or target).charge


# Ids of the prices that Stripe sells at now, by their lookup keys. While Stripe moves a key, the price that got it
# last is read last, and stays.
PRICES = (
    select(func.json_object_agg(Price.lookup_key, aggregate_order_by(Price.id, Price.as_of)))
    .where(Price.active, Price.lookup_key.is_not(None))
    .scalar_subquery()
)
# One statement for all of it: each round trip costs more than its rows.
ASKED = select(bindparam("organization_id", type_=Text).label("id")).subquery()
OWES = exists().where(
    Invoice.organization_id == Organization.id, Invoice.status == "open", Invoice.amount_remaining > 0
)
STANDING = (
    select(OrganizationPlan, Subscription, PaymentMethod, PLAN_OF_PRODUCT, PRICES, OWES)
    .select_from(ASKED)
    .outerjoin(Organization, Organization.id == ASKED.c.id)
    .outerjoin(OrganizationPlan, OrganizationPlan.organization_id == Organization.id)
    .outerjoin(Subscription, Subscription.organization_id == Organization.id)
    .outerjoin(PaymentMethod, PaymentMethod.id == Organization.default_payment_method_id)
    .execution_options(populate_existing=True)
)


def position_of(session: Session, organization_id: str) -> Position:
    """Where the organization stands, from the local tables."""
    rows = session.execute(STANDING, {"organization_id": organization_id}).all()
    row, _, card, plan_of_product, prices, owes = rows[0]
    subscription = select_current_subscription([each.Subscription for each in rows if each.Subscription is not None])
    if subscription is not None and subscription.status in ENDED:
        subscription = None
    return Position(
        state=PlanState.of_row(row) if row is not None else NEVER_ENROLLED,
        plan_version=row.version if row is not None else 0,
        subscription=subscription,
        base_item=select_base_item(subscription, plan_of_product or {})[1] if subscription is not None else None,
        card=card,
        owes=owes,
        prices=prices or {},
    )
