"""``invoice_payment.paid`` reports the payment of an invoice or of a part of it."""

from gateway.stripe_api.snapshots import Event, Reference, referred
from handlers.registry import handles


@handles("invoice_payment.paid")
def invoice_payment_paid(event: Event) -> list[Reference]:
    """Return the invoice. A lookup of it is rare, because ``invoice.paid`` or ``invoice.updated`` comes too.

    The payload names no customer. The mirror learns of an unknown invoice only from the invoice's own events.
    """
    return referred(event, "invoice")
