"""``invoice.*`` reports what was billed and whether it was paid."""

from dataclasses import replace

from gateway.stripe_api.snapshots import Event, InvoiceSnapshot
from handlers.registry import handles


@handles(
    "invoice.created",
    "invoice.finalization_failed",
    "invoice.finalized",
    "invoice.marked_uncollectible",
    "invoice.overdue",
    "invoice.overpaid",
    "invoice.paid",
    "invoice.payment_action_required",
    "invoice.payment_attempt_required",
    "invoice.payment_failed",
    "invoice.payment_succeeded",
    "invoice.sent",
    "invoice.updated",
    "invoice.voided",
    "invoice.will_be_due",
)
def invoice(event: Event) -> list[InvoiceSnapshot]:
    """Return the invoice as it was at the second of the event."""
    return [InvoiceSnapshot.from_event(event)]


@handles("invoice.deleted")
def invoice_deleted(event: Event) -> list[InvoiceSnapshot]:
    """Return the deleted draft, which the payload still calls a draft."""
    return [replace(InvoiceSnapshot.from_event(event), status="deleted")]
