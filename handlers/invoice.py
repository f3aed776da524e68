"""``invoice.*``: what was billed, and whether it was paid."""

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
    """The invoice as it stood at that second."""
    return [InvoiceSnapshot.from_event(event)]


@handles("invoice.deleted")
def invoice_deleted(event: Event) -> list[InvoiceSnapshot]:
    """A draft was deleted: the payload still calls it a draft."""
    return [replace(InvoiceSnapshot.from_event(event), status="deleted")]
