"""``invoice_payment.paid``: a payment of an invoice, or of a part of it."""

from gateway.stripe_api.snapshots import Event, Reference, referred
from handlers.registry import handles


@handles("invoice_payment.paid")
def invoice_payment_paid(event: Event) -> list[Reference]:
    """The invoice it pays. ``invoice.paid`` or ``invoice.updated`` comes with it, so a lookup is the exception.

    The payload names no customer: an invoice that the mirror does not know yet is told by its own events.
    """
    return referred(event, "invoice")
