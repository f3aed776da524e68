"""Describe what a merge changes in the mirror, apart from plans, to the receivers of notifications.

This runs between placing the snapshots and writing the rows, while SQLAlchemy still knows the values from before.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from sqlalchemy import inspect

from gateway.db.models import Invoice, Mirrored, Subscription, UpcomingInvoice
from gateway.json_types import Json
from gateway.services.notifications.outbox import Fact, to_text
from gateway.services.plan_table.attribution import ADOPTED
from gateway.stripe_api.snapshots import (
    SETTLED,
    TRIALING,
    InvoiceSnapshot,
    Observation,
    Snapshot,
    SubscriptionSnapshot,
)

# These events report something that the state of their object does not show. https://docs.stripe.com/api/events/types
TYPE_OF_EVENT: Mapping[str, str] = MappingProxyType(
    {
        "customer.subscription.trial_will_end": "trial.will_end",
        "invoice.payment_failed": "payment.failed",
        "invoice.payment_action_required": "payment.action_required",
    }
)
INVOICE = ("number", "currency", "total", "amount_due", "amount_paid", "amount_remaining")
PAYMENT = ("attempt_count", "next_payment_attempt", "hosted_invoice_url")
UPCOMING = ("currency", "amount_due", "billing_date")


def describe_changes(observations: Sequence[Observation], rows: Mapping[tuple[str, str], Mirrored]) -> Iterator[Fact]:
    """Yield the facts that the observations show, in their order and once for each object. An adoption shows none.

    Record each announced event in the row of its object.
    """
    paid_or_calculated: set[tuple[str, str]] = set()
    for each in observations:
        row = rows.get((each.kind, each.id))
        if row is None or not isinstance(each, Snapshot) or each.seen.cause == ADOPTED:
            continue
        fact_type = TYPE_OF_EVENT.get(each.seen.event_type or "")
        if isinstance(row, Invoice | Subscription) and fact_type is not None:
            yield from announce_event(row, each, fact_type)
        if (each.kind, each.id) not in paid_or_calculated:
            paid_or_calculated.add((each.kind, each.id))
            yield from describe_change(row)


def announce_event(row: Invoice | Subscription, shown: Snapshot, fact_type: str) -> Iterator[Fact]:
    """Yield what an event reports, unless the event is announced already or another state has overtaken it.

    The row may have an earlier or a later state than the event, for example while its refresh is queued. So the event
    itself shows what happened.
    """
    is_overtaken = row.status in SETTLED if isinstance(row, Invoice) else row.status != TRIALING
    event_id = shown.seen.cause
    if is_overtaken or event_id in (row.announced or ()):
        return
    row.announced = [*(row.announced or ()), event_id]
    if isinstance(shown, InvoiceSnapshot):
        yield Fact(row.organization_id, fact_type, describe_invoice(row.organization_id, shown, (*INVOICE, *PAYMENT)))
    elif isinstance(shown, SubscriptionSnapshot) and isinstance(row, Subscription) and row.had_plan:
        data = {"organization_id": row.organization_id, "subscription_id": row.id, "trial_end": shown.trial_end}
        yield Fact(row.organization_id, fact_type, to_text(data.items()))


def describe_change(row: Mirrored) -> Iterator[Fact]:
    """Yield that an invoice was paid, or that Stripe has calculated the next charges."""
    if isinstance(row, Invoice) and row.status == "paid" and find_earlier(row, "status") != "paid" and row.total > 0:
        data = describe_invoice(row.organization_id, row, (*INVOICE, "invoice_pdf"))
        yield Fact(row.organization_id, "invoice.paid", data)
    if isinstance(row, UpcomingInvoice) and has_amounts(row) and is_recalculated(row):
        names = ("organization_id", "subscription_id", *UPCOMING)
        data = to_text((name, getattr(row, name)) for name in names)
        yield Fact(row.organization_id, "charges.calculated", data)


def has_amounts(upcoming: UpcomingInvoice) -> bool:
    """Return whether a line has an amount. The floor plan has none, and neither has a year in a month without usage."""
    return upcoming.lines is None or any(line["amount"] for line in upcoming.lines)


def is_recalculated(upcoming: UpcomingInvoice) -> bool:
    """Return whether the charges are new, or differ from those that were calculated before."""
    return any(find_earlier(upcoming, name) != getattr(upcoming, name) for name in UPCOMING)


def describe_invoice(organization_id: str, invoice: Invoice | InvoiceSnapshot, names: Sequence[str]) -> Json:
    """Return what a receiver sees of an invoice."""
    shown = {"organization_id": organization_id, "invoice_id": invoice.id}
    return to_text({**shown, **{name: getattr(invoice, name) for name in names}}.items())


def find_earlier(row: Mirrored, column: str) -> object:
    """Return the stored value from before this merge, or None for a new row."""
    history = inspect(row).attrs[column].history
    return next(iter(history.deleted or history.unchanged or ()), None)
