"""The plan of an organization as a function of what the mirror holds: no decision is stored that is not derived."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Self

from gateway.db.models import Json, OrganizationPlan, Subscription
from gateway.stripe_api.snapshots import ENDED

FREE = "free"
UNMAPPED = "unmapped"
"""The plan of a subscription whose price is none of ours: neither a grant nor silently Free."""
NO_SUBSCRIPTION = "none"


class Payment(StrEnum):
    """The latest invoice of a subscription, as far as its plan goes."""

    UNKNOWN = "unknown"
    """There is none, or it has not come yet."""
    DRAFT = "draft"
    OPEN = "open"
    """Not paid yet; Stripe will try (again)."""
    OVERDUE = "overdue"
    """Not paid, and Stripe tries no more."""
    PAID = "paid"
    UNCOLLECTIBLE = "uncollectible"
    VOID = "void"

    @classmethod
    def of_invoice(cls, status: str, next_payment_attempt: datetime | None) -> Self:
        """Of an invoice as the mirror has it."""
        if status == "deleted":
            return cls("unknown")
        return cls("overdue" if status == "open" and next_payment_attempt is None else status)


@dataclass(frozen=True)
class Rule:
    """What a status means: https://docs.stripe.com/billing/subscriptions/overview ."""

    standing: str
    usable: bool
    """Whether the plan may be used: it is paid, or legitimately not paid yet."""


# By Stripe's status, and where the latest invoice makes a difference, by that as well.
RULES: Mapping[str, Rule] = MappingProxyType(
    {
        NO_SUBSCRIPTION: Rule("good", usable=False),
        "trialing": Rule("good", usable=True),
        "active": Rule("good", usable=True),  # Stripe's word that it is paid, or that nothing is due yet
        "past_due": Rule("grace", usable=True),  # Stripe is still retrying the payment: the plan stays
        "incomplete": Rule("good", usable=False),  # the first payment has not come: no plan without it
        "incomplete_expired": Rule("suspended", usable=False),
        "unpaid": Rule("suspended", usable=False),
        "paused": Rule("suspended", usable=False),
        "canceled": Rule("good", usable=False),
    }
)
EXCEPTIONS: Mapping[tuple[str, Payment], Rule] = MappingProxyType(
    {
        # Where Stripe's account leaves subscriptions past due after the last retry, grace would never end.
        ("past_due", Payment.OVERDUE): Rule("suspended", usable=False),
    }
)
DECIDED_BY_INVOICE = frozenset(status for status, _ in EXCEPTIONS)
"""The statuses of which the latest invoice decides the plan."""


def find_rule(status: str, payment: Payment) -> Rule:
    """What a status means together with the latest invoice."""
    return EXCEPTIONS.get((status, payment), RULES[status])


@dataclass(frozen=True, kw_only=True)
class PlanState:
    """What a row of the plan table says, apart from its version."""

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
        """What ``row`` says now."""
        return cls(**{name: getattr(row, name) for name in COLUMNS})

    def to_json(self) -> Json:
        """For the history: times in ISO 8601."""
        return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in vars(self).items()}

    @classmethod
    def of_json(cls, state: Json) -> "PlanState":
        """What ``to_json`` wrote; a field that did not exist then is as on an organization that was never enrolled."""
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
    plan_of_product: Mapping[str, str],
    payments: Mapping[str, Payment] = MappingProxyType({}),
) -> PlanState:
    """The plan state of an organization from all its subscriptions.

    ``plan_of_product`` is the catalogue, ``payments`` the state of the latest invoices by their ids.
    """
    subscription = select_current_subscription(subscriptions)
    if subscription is None:
        return NEVER_ENROLLED
    requested_plan, item = select_base_item(subscription, plan_of_product)
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


def select_current_subscription(subscriptions: Sequence[Subscription]) -> Subscription | None:
    """What an organization is on, or was on last: one that may be used before one that only lives, then the newest."""

    def precedence(each: Subscription) -> tuple[bool, bool, datetime, str]:
        return each.status not in ENDED, RULES[each.status].usable, each.created, each.id

    return max(subscriptions, key=precedence, default=None)


def select_base_item(subscription: Subscription, plan_of_product: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """The item that stands for the plan, and the plan; UNMAPPED if no item does, or if several do.

    A plan is a product: whoever bought it at a price that is archived by now keeps it.
    """
    mapped = [item for item in subscription.items if item["product_id"] in plan_of_product]
    if len(mapped) == 1:
        return plan_of_product[mapped[0]["product_id"]], mapped[0]
    return UNMAPPED, subscription.items[0]
