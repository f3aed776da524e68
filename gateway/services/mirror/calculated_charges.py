"""Compare the invoice of a billing date with the charges that Stripe calculated before."""

from collections.abc import Sequence
from enum import StrEnum

from gateway.db.models import Invoice, UpcomingInvoice
from gateway.json_types import Json
from gateway.stripe_api.snapshots import InvoiceSnapshot, LineKind

FINALIZED = frozenset({"open", "paid", "uncollectible"})


class Cause(StrEnum):
    """Why an invoice differs from the charges calculated ahead."""

    USAGE = "usage"
    """Usage that was reported since."""
    CHANGE = "change"
    """A change of the subscription, a discount or a tax since, or an item that was added."""
    BALANCE = "balance"
    """Another balance of the customer, or an amount that is too small to charge."""
    UNEXPLAINED = "unexplained"
    """What the lines and the balance do not show, such as billing credits."""


def is_calculated(invoice: InvoiceSnapshot, upcoming: UpcomingInvoice | None) -> bool:
    """Return whether ``upcoming`` are the charges that Stripe calculated for this invoice."""
    return (
        upcoming is not None
        and upcoming.lines is not None
        and upcoming.total is not None
        and invoice.billing_reason == "subscription_cycle"
        and invoice.status in FINALIZED
        and invoice.period_end == upcoming.billing_date
    )


def compare_with_calculated(invoice: Invoice, upcoming: UpcomingInvoice) -> None:
    """Store the calculated amount with the invoice, and what explains the difference.

    The causes add up to the difference. Both must have their lines, and ``upcoming`` its total.
    """
    before, after = upcoming.lines or [], invoice.lines or []
    usage = sum_net(after, usage=True) - sum_net(before, usage=True)
    change = sum_net(after, usage=False) - sum_net(before, usage=False)
    total = invoice.total - (upcoming.total or 0)
    due = invoice.amount_due - upcoming.amount_due
    found = {
        Cause.USAGE: usage,
        Cause.CHANGE: change,
        Cause.BALANCE: due - total,
        Cause.UNEXPLAINED: total - usage - change,
    }
    invoice.calculated_due = upcoming.amount_due
    invoice.differences = [{"cause": cause, "amount": amount} for cause, amount in found.items() if amount]


def sum_net(lines: Sequence[Json], *, usage: bool) -> int:
    """Return what the lines of usage, or all other lines, add to the invoice's total."""
    chosen = (each for each in lines if (each["kind"] == LineKind.USAGE) == usage)
    return sum(each["amount"] + each["discount"] + each["tax"] for each in chosen)
