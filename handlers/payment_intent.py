"""``payment_intent.*`` reports the attempts to pay an invoice."""

from gateway.stripe_api.snapshots import Event, Reference, id_of, strict
from handlers.registry import handles

INVOICE_PREFIX = "in_"


@handles("payment_intent.processing")
@strict
def payment_intent_processing(event: Event) -> list[Reference]:
    """Return the invoice of a payment that takes days, such as a bank debit. The invoice's own events do not show it.

    Stripe gives the intent of an invoice the invoice's id as its order reference. ``invoice.paid`` and
    ``invoice.payment_failed`` report how the payment ends. The invoice is looked up however new its state is, because a
    lookup in the same second may have come before the payment.
    """
    reference = id_of((event.object.get("payment_details") or {}).get("order_reference"))
    if reference is None or not reference.startswith(INVOICE_PREFIX):
        return []
    return [Reference(kind="invoice", id=reference, owner=id_of(event.object["customer"]), as_of=None)]
