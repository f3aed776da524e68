"""``invoice.*`` reports what was billed and whether it was paid."""

from dataclasses import replace

from gateway.stripe_api.snapshots import Event, InvoiceSnapshot, Observation, Reference
from handlers.registry import handles


@handles(
    "invoice.created",
    "invoice.finalization_failed",
    "invoice.finalized",
    "invoice.marked_uncollectible",
    "invoice.overdue",
    "invoice.overpaid",
    "invoice.paid",
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


@handles("invoice.payment_action_required")
def invoice_payment_action_required(event: Event) -> list[Observation]:
    """Return the invoice, and look it up. Only a lookup shows that the cardholder must approve the payment."""
    snapshot = InvoiceSnapshot.from_event(event)
    return [snapshot, Reference(kind=InvoiceSnapshot.kind, id=snapshot.id, owner=snapshot.customer_id, as_of=None)]


@handles("invoice.deleted")
def invoice_deleted(event: Event) -> list[InvoiceSnapshot]:
    """Return the deleted draft, which the payload still calls a draft."""
    return [replace(InvoiceSnapshot.from_event(event), status="deleted")]
