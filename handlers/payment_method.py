"""``payment_method.*``: the cards on file."""

from gateway.stripe_api.snapshots import Event, PaymentMethodSnapshot
from handlers.registry import handles


@handles(
    "payment_method.attached",
    "payment_method.automatically_updated",
    "payment_method.detached",
    "payment_method.updated",
)
def payment_method(event: Event) -> list[PaymentMethodSnapshot]:
    """The card as it stood at that second; a detached one has no customer."""
    return [PaymentMethodSnapshot.from_event(event)]
