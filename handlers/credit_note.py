"""``credit_note.*`` reports the correction of an invoice."""

from gateway.stripe_api.snapshots import Event, Reference, referred
from handlers.registry import handles


@handles("credit_note.created", "credit_note.updated", "credit_note.voided")
def credit_note(event: Event) -> list[Reference]:
    """Return the invoice, whose amount due fell, and the customer if the credit went to its balance."""
    invoice = referred(event, "invoice")
    return [*invoice, *referred(event, "customer")] if event.object.get("customer_balance_transaction") else invoice
