"""Derive an organization's plan from the mirror's rows.

Every decision about a plan is derived here. No decision is stored that does not follow from the mirror.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Self

from gateway.db.models import Json, OrganizationPlan, Subscription
from gateway.services.plan_table.selection import FREE, Plans, select_base_item, select_current_subscription
from gateway.stripe_api.snapshots import ENDED

NO_SUBSCRIPTION = "none"


class Payment(StrEnum):
    """The state of a subscription's latest invoice, as far as it matters for the plan."""

    UNKNOWN = "unknown"
    """There is no invoice, or the mirror does not have it yet."""
    DRAFT = "draft"
    OPEN = "open"
    """It is not paid yet, and Stripe will still try to collect it."""
    OVERDUE = "overdue"
    """It is not paid, and Stripe has stopped trying."""
    PAID = "paid"
    UNCOLLECTIBLE = "uncollectible"
    VOID = "void"

    @classmethod
    def of_invoice(cls, status: str, next_payment_attempt: datetime | None) -> Self:
        """Return the payment state of an invoice as the mirror has it."""
        if status == "deleted":
            return cls("unknown")
        return cls("overdue" if status == "open" and next_payment_attempt is None else status)


@dataclass(frozen=True)
class Rule:
    """The meaning of a status for the plan: https://docs.stripe.com/billing/subscriptions/overview ."""

    standing: str
    usable: bool
    """Whether the organization may use the plan, because it is paid or is legitimately not paid yet."""


# The rules by Stripe's status. `EXCEPTIONS` adds the cases in which the latest invoice matters too.
RULES: Mapping[str, Rule] = MappingProxyType(
    {
        NO_SUBSCRIPTION: Rule("good", usable=False),
        "trialing": Rule("good", usable=True),
        "active": Rule("good", usable=True),  # Stripe says that it is paid, or that nothing is due yet
        "past_due": Rule("grace", usable=True),  # Stripe is still retrying the payment, so the plan stays usable
        "incomplete": Rule("good", usable=False),  # the first payment is missing, and there is no plan without it
        "incomplete_expired": Rule("suspended", usable=False),
        "unpaid": Rule("suspended", usable=False),
        "paused": Rule("suspended", usable=False),
        "canceled": Rule("good", usable=False),
    }
)
EXCEPTIONS: Mapping[tuple[str, Payment], Rule] = MappingProxyType(
    {
        # A Stripe account may leave subscriptions past due after the last retry. Without this rule, grace never ends.
        ("past_due", Payment.OVERDUE): Rule("suspended", usable=False),
    }
)
DECIDED_BY_INVOICE = frozenset(status for status, _ in EXCEPTIONS)
"""The statuses for which the latest invoice decides the plan."""


def find_rule(status: str, payment: Payment) -> Rule:
    """Return the rule for a status together with the state of the latest invoice."""
    return EXCEPTIONS.get((status, payment), RULES[status])


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

    @classmethod
    def of_row(cls, row: OrganizationPlan) -> Self:
        """Return the content of ``row``."""
        return cls(**{name: getattr(row, name) for name in COLUMNS})

    def to_json(self) -> Json:
        """Return the state as the history stores it, with times in ISO 8601."""
        return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in vars(self).items()}

    @classmethod
    def of_json(cls, state: Json) -> "PlanState":
        """Return the state that ``to_json`` wrote.

        A field that did not exist then gets the value of an organization that was never enrolled.
        """
        known = {field.name: field.type for field in fields(cls)}
        values = {name: value for name, value in state.items() if name in known}
        times = {name for name, value in values.items() if known[name] == datetime | None and value is not None}
        return replace(NEVER_ENROLLED, **values | {name: datetime.fromisoformat(values[name]) for name in times})


COLUMNS = tuple(field.name for field in fields(PlanState))
NEVER_ENROLLED = PlanState(
    plan=FREE,
    requested_plan=FREE,
    status=NO_SUBSCRIPTION,
    standing="good",
    quantity=1,
    currency=None,
    subscription_id=None,
    current_period_start=None,
    current_period_end=None,
    cancel_at=None,
)


def derive_plan_state(
    subscriptions: Sequence[Subscription],
    plans: Plans,
    payments: Mapping[str, Payment] = MappingProxyType({}),
) -> PlanState:
    """Return an organization's plan state, derived from all its subscriptions.

    ``payments`` holds the states of the latest invoices by invoice id.
    """
    subscription = select_current_subscription(subscriptions, plans)
    if subscription is None:
        return NEVER_ENROLLED
    requested_plan, item = select_base_item(subscription, plans)
    rule = find_rule(subscription.status, payments.get(subscription.latest_invoice_id or "", Payment.UNKNOWN))
    ended = subscription.status in ENDED
    return PlanState(
        plan=requested_plan if rule.usable else FREE,
        requested_plan=FREE if ended else requested_plan,
        status=subscription.status,
        standing=rule.standing,
        quantity=1 if ended else item["quantity"],
        currency=subscription.currency,
        subscription_id=subscription.id,
        current_period_start=None if ended else datetime.fromisoformat(item["current_period_start"]),
        current_period_end=None if ended else datetime.fromisoformat(item["current_period_end"]),
        cancel_at=subscription.cancel_at,
    )
