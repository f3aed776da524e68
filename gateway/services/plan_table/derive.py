"""Derive an organization's plan from the mirror's rows, its grant and its open change.

Every decision about a plan is derived here. The gateway stores no decision that does not follow from these rows.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Self

from gateway.db.models import OPEN_STATES, Charge, Grant, Invoice, OrganizationPlan, PlanChange, Subscription
from gateway.json_types import Json
from gateway.services.plan_table.selection import Plans, select_base_item, select_current_subscription
from gateway.services.plan_table.standing import GOOD, NO_SUBSCRIPTION, RULES, SUSPENDED, derive_standing, find_debts
from gateway.stripe_api.snapshots import ENDED, LOST


@dataclass(frozen=True, kw_only=True)
class PlanState:
    """The content of a row of the plan table, apart from its version."""

    plan: str
    requested_plan: str
    status: str
    standing: str
    quantity: int
    currency: str | None
    subscription_id: str | None
    current_period_start: datetime | None
    current_period_end: datetime | None
    cancel_at: datetime | None
    returned_payments: list[Json]
    granted_plan: str | None
    granted_until: datetime | None
    leaving: bool = False

    def at(self, moment: datetime, floor: str) -> Self:
        """Return the state at ``moment``, without a grant that has ended.

        A job ends the grant in the plan table, and may be late.
        """
        if self.granted_until is None or moment < self.granted_until:
            return self
        return replace(self, plan=self.find_subscribed_plan(floor), granted_plan=None, granted_until=None)

    def find_subscribed_plan(self, floor: str) -> str:
        """Return the plan that the organization may use by its subscription alone, without a grant."""
        return find_subscribed_plan(self.requested_plan, self.status, self.standing, leaving=self.leaving, floor=floor)

    @classmethod
    def of_row(cls, row: OrganizationPlan) -> Self:
        """Return the content of ``row``."""
        stored = row.loaded()
        return cls(**{name: stored[name] for name in COLUMNS})

    def to_json(self) -> Json:
        """Return the state as the history stores it, with times in ISO 8601."""
        return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in vars(self).items()}

    @classmethod
    def of_json(cls, state: Json) -> "PlanState":
        """Return the state that ``to_json`` wrote.

        A field that did not exist when the entry was written gets the value of an organization that was never enrolled.
        """
        known = {field.name: field.type for field in fields(cls)}
        values = {name: value for name, value in state.items() if name in known}
        times = {name for name, value in values.items() if known[name] == datetime | None and value is not None}
        return replace(
            never_enrolled(values["plan"]), **values | {name: datetime.fromisoformat(values[name]) for name in times}
        )


COLUMNS = tuple(field.name for field in fields(PlanState))


def never_enrolled(floor: str) -> PlanState:
    """Return the state of an organization that was never enrolled. It is on the floor plan with the key ``floor``."""
    return PlanState(
        plan=floor,
        requested_plan=floor,
        status=NO_SUBSCRIPTION,
        standing=GOOD,
        quantity=1,
        currency=None,
        subscription_id=None,
        current_period_start=None,
        current_period_end=None,
        cancel_at=None,
        returned_payments=[],
        granted_plan=None,
        granted_until=None,
    )


def find_subscribed_plan(requested_plan: str, status: str, standing: str, *, leaving: bool, floor: str) -> str:
    """Return the plan that the organization may use by its subscription alone, without a grant."""
    is_usable = RULES[status].usable and standing != SUSPENDED and not leaving
    return requested_plan if is_usable else floor


def leave_plan(state: PlanState, changes: Collection[PlanChange], floor: str) -> PlanState:
    """Return the state without the plan that one of the ``changes`` has left. Stripe has not made these changes yet."""
    is_left = any(
        each.left_at is not None and each.state in OPEN_STATES and each.from_plan == state.requested_plan
        for each in changes
    )
    return replace(state, plan=floor, leaving=True) if is_left else state


def add_grant(state: PlanState, grant: Grant | None, plans: Plans) -> PlanState:
    """Return the state with the higher one of the subscribed and the granted plan. An unknown plan grants nothing."""
    if grant is None:
        return state
    known = [grant.plan] if grant.plan in plans.ranking else []
    plan = max([state.plan, *known], key=plans.rank)
    return replace(state, plan=plan, granted_plan=grant.plan, granted_until=grant.until)


def derive_plan_state(
    subscriptions: Sequence[Subscription],
    plans: Plans,
    invoices: Collection[Invoice] = (),
    charges: Collection[Charge] = (),
    current: PlanState | None = None,
) -> PlanState:
    """Return an organization's plan state, derived from all its subscriptions and their unpaid ``invoices``.

    Of the organization's ``charges``, those that were refunded or disputed count. ``current`` is the present state, if
    there is one. While an unpaid invoice leaves the standing open, the present standing remains, within what that
    invoice allows.
    """
    returned = [to_returned(each) for each in sorted(charges, key=lambda each: each.id) if is_returned(each)]
    subscription = select_current_subscription(subscriptions, plans)
    if subscription is None:
        return replace(never_enrolled(plans.floor), returned_payments=returned)
    requested_plan, item = select_base_item(subscription, plans)
    standing = derive_standing(
        subscription.status,
        find_debts(subscription, invoices).values(),
        current.standing if current is not None and current.subscription_id == subscription.id else GOOD,
    )
    if plans.suspends_disputed and any(each.dispute == LOST for each in charges):
        standing = SUSPENDED
    ended = subscription.status in ENDED
    requested_plan = plans.floor if ended else requested_plan
    return PlanState(
        plan=find_subscribed_plan(requested_plan, subscription.status, standing, leaving=False, floor=plans.floor),
        requested_plan=requested_plan,
        status=subscription.status,
        standing=standing,
        quantity=1 if ended else item["quantity"],
        currency=subscription.currency,
        subscription_id=subscription.id,
        current_period_start=None if ended else datetime.fromisoformat(item["current_period_start"]),
        current_period_end=None if ended else datetime.fromisoformat(item["current_period_end"]),
        cancel_at=subscription.cancel_at,
        returned_payments=returned,
        granted_plan=None,
        granted_until=None,
    )


def is_returned(charge: Charge) -> bool:
    """Return whether money of the charge went back, or may go back by a dispute."""
    return charge.amount_refunded > 0 or charge.dispute is not None


def to_returned(charge: Charge) -> Json:
    """Return what the plan table and the history show of a refunded or disputed charge."""
    return {
        "charge": charge.id,
        "invoice": charge.invoice_id,
        "currency": charge.currency,
        "amount": charge.amount,
        "refunded": charge.amount_refunded,
        "lost": charge.amount_lost,
        "dispute": charge.dispute,
    }
