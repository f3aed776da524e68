"""What Stripe's status and the unpaid invoices of a subscription mean for its plan.

The rules follow https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses .
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from gateway.db.models import UNPAID, Invoice, Subscription
from gateway.stripe_api.snapshots import Source

NO_SUBSCRIPTION = "none"
GOOD, GRACE, SUSPENDED = "good", "grace", "suspended"
STANDINGS = (GOOD, GRACE, SUSPENDED)  # from the best to the worst


class Debt(StrEnum):
    """The state of an unpaid invoice."""

    UNDER_WAY = "under_way"
    """A payment that takes days, such as a bank debit, is in progress."""
    NOT_TRIED = "not_tried"
    """Stripe has finalized it and has not tried to collect it."""
    RETRIED = "retried"
    """It was tried, and Stripe will try it again."""
    NOT_KNOWN = "not_known"
    """A lookup must show whether a payment is in progress, or whether Stripe has voided the invoice."""
    GIVEN_UP = "given_up"
    """It was tried, and Stripe will not try it again. Or somebody wrote it off after that."""
    SENT = "sent"
    """Stripe sent it to the customer, and it is not due yet."""
    OVERDUE = "overdue"
    """Stripe sent it to the customer, and its due date is over."""
    OVERDUE_TRIED = "overdue_tried"
    """It is overdue and was tried. A lookup must show whether a payment is in progress."""


class Span(NamedTuple):
    """The best and the worst standing that a debt allows. Within them, the standing stays as it is."""

    best: str
    worst: str

    def hold(self, current: str) -> str:
        """Return ``current``, or the nearest standing within the span."""
        return worst(self.best, min(current, self.worst, key=STANDINGS.index))


@dataclass(frozen=True)
class Rule:
    """The meaning of one of Stripe's statuses."""

    standing: str
    """The standing if ``debts`` do not decide it."""
    usable: bool
    """Whether the organization may use the plan, unless it is suspended."""
    debts: Mapping[Debt, Span] = field(default_factory=dict)
    """What each unpaid invoice means. Empty if the status alone decides."""


PAYING = {
    Debt.UNDER_WAY: Span(GOOD, GOOD),
    Debt.NOT_TRIED: Span(GOOD, GOOD),
    Debt.NOT_KNOWN: Span(GOOD, SUSPENDED),
    Debt.RETRIED: Span(GRACE, GRACE),
    Debt.GIVEN_UP: Span(SUSPENDED, SUSPENDED),
    Debt.SENT: Span(GOOD, GOOD),
    Debt.OVERDUE: Span(GRACE, GRACE),
    Debt.OVERDUE_TRIED: Span(GOOD, GRACE),
}
# Stripe may report the status before the failed payment. Until both are known, the standing stays as it is.
LATE = PAYING | {Debt.NOT_TRIED: Span(GOOD, GRACE)}
RULES: Mapping[str, Rule] = MappingProxyType(
    {
        NO_SUBSCRIPTION: Rule(GOOD, usable=False),
        "trialing": Rule(GOOD, usable=True, debts=PAYING),
        "active": Rule(GOOD, usable=True, debts=PAYING),
        "past_due": Rule(GRACE, usable=True, debts=LATE),
        "incomplete": Rule(GOOD, usable=False),  # the first payment is missing, and there is no plan without it
        "incomplete_expired": Rule(SUSPENDED, usable=False),
        "unpaid": Rule(SUSPENDED, usable=False),
        "paused": Rule(SUSPENDED, usable=False),
        "canceled": Rule(GOOD, usable=False),
    }
)
UNDECIDED = frozenset({Debt.NOT_KNOWN, Debt.OVERDUE_TRIED})
"""The debts that only a lookup at Stripe can decide."""
FOLLOWS_INVOICES = frozenset(status for status, rule in RULES.items() if rule.debts)
"""The statuses for which the unpaid invoices decide the standing."""
OWES_DEBTS = FOLLOWS_INVOICES | {"canceled"}
"""The statuses in which the end of an invoice's attempts matters. After the end of a plan, it is shown as a debt."""


def worst(*standings: str) -> str:
    """Return the worst of the standings."""
    return max(standings, key=STANDINGS.index)


def derive_standing(status: str, debts: Collection[Debt], current: str) -> str:
    """Return the standing of a subscription. ``current`` is its present standing."""
    rule = RULES[status]
    if not rule.debts or not debts:
        return rule.standing
    return worst(*(rule.debts[each].hold(current) for each in debts))


def find_debts(subscription: Subscription, invoices: Collection[Invoice]) -> dict[str, Debt]:
    """Return the debts that decide the subscription's standing, by the invoice's id."""
    if subscription.status not in FOLLOWS_INVOICES:
        return {}
    own = [each for each in invoices if each.subscription_id == subscription.id]
    return {each.id: debt for each in own if (debt := read_debt(subscription, each)) is not None}


def read_debt(subscription: Subscription, invoice: Invoice) -> Debt | None:
    """Return the state of an invoice, or None if nothing is owed on it.

    Everything is read from Stripe's states, and nothing from our clock.
    """
    if invoice.status not in UNPAID or invoice.amount_remaining <= 0:
        return None
    if (waits := pays_for_change(subscription, invoice)) is not False:
        return Debt.NOT_KNOWN if waits is None else None
    if invoice.payment_under_way:
        return Debt.UNDER_WAY
    if invoice.collection_method == "send_invoice":
        return read_sent_debt(subscription, invoice)
    if invoice.status == "uncollectible":
        # Stripe also writes invoices off untried while collection is paused, which means that the plan costs nothing.
        return Debt.GIVEN_UP if invoice.attempted else None
    if not invoice.attempted:
        return Debt.NOT_TRIED
    if invoice.next_payment_attempt is not None:
        return Debt.RETRIED
    return Debt.NOT_KNOWN if invoice.payment_under_way is None else Debt.GIVEN_UP


def read_sent_debt(subscription: Subscription, invoice: Invoice) -> Debt:
    """Return the state of an unpaid invoice that Stripe sent to the customer.

    Its due date is over once Stripe has shown the invoice or the subscription after it.
    """
    shown = [each for each in (invoice.as_of, subscription.as_of) if each is not None]
    is_over = invoice.due_date is not None and any(invoice.due_date <= each for each in shown)
    if not is_over:
        return Debt.SENT
    is_unknown = invoice.status == "open" and invoice.attempted and invoice.payment_under_way is None
    return Debt.OVERDUE_TRIED if is_unknown else Debt.OVERDUE


def pays_for_change(subscription: Subscription, invoice: Invoice) -> bool | None:
    """Return whether the invoice is for a change that Stripe has not made, because its payment is missing.

    Stripe voids such an invoice if it is not paid in time. Return None if only a lookup shows whether it has done so.
    https://docs.stripe.com/billing/subscriptions/pending-updates
    """
    if invoice.billing_reason != "subscription_update":
        return False
    if subscription.pending_until is not None and subscription.latest_invoice_id == invoice.id:
        return True
    # Stripe reports ``past_due`` if it has made the change. That status ends when a later invoice is paid.
    if subscription.status == "past_due":
        return False
    if not is_known(subscription, invoice):
        return True
    return False if is_shown_after(invoice, subscription) else None


def is_known(subscription: Subscription, invoice: Invoice) -> bool:
    """Return whether the subscription's stored state is from after Stripe made the invoice."""
    is_later = subscription.as_of is not None and subscription.as_of > invoice.created
    return is_later or subscription.latest_invoice_id == invoice.id


def is_shown_after(invoice: Invoice, subscription: Subscription) -> bool:
    """Return whether Stripe has shown the invoice after the subscription's stored state.

    Stripe ends a parked change and voids its invoice together. If we learn of the end first, the invoice looks like a
    debt.
    """
    if invoice.as_of is None or subscription.as_of is None or invoice.as_of < subscription.as_of:
        return False
    return invoice.as_of > subscription.as_of or invoice.source == Source.REFRESH
