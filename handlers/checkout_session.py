"""``checkout.session.*``: a payment page that somebody completed. The gateway makes none; sales may."""

from gateway.stripe_api.snapshots import Event, Reference, referred
from handlers.registry import handles


@handles(
    "checkout.session.async_payment_failed", "checkout.session.async_payment_succeeded", "checkout.session.completed"
)
def checkout_session(event: Event) -> list[Reference]:
    """The subscription that came of it (null if none did), and the customer, who may be new."""
    return [*referred(event, "subscription"), *referred(event, "customer")]
