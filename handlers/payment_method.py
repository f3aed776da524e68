"""``payment_method.*`` reports the payment methods on file."""

from dataclasses import replace

from gateway.stripe_api.snapshots import Event, PaymentMethodSnapshot, id_of
from handlers.registry import handles


@handles(
    "payment_method.attached",
    "payment_method.automatically_updated",
    "payment_method.updated",
)
def payment_method(event: Event) -> list[PaymentMethodSnapshot]:
    """Return the payment method as it was at the second of the event."""
    return [PaymentMethodSnapshot.from_event(event)]


@handles("payment_method.detached")
def payment_method_detached(event: Event) -> list[PaymentMethodSnapshot]:
    """Return the payment method with its former customer. Only the previous attributes still name that customer."""
    detached = PaymentMethodSnapshot.from_event(event)
    return [replace(detached, customer_id=id_of((event.previous or {}).get("customer")))]
