"""``checkout.session.*`` reports a completed payment page. The gateway creates none, but sales may."""

from gateway.stripe_api.snapshots import Event, Reference, referred
from handlers.registry import handles


@handles(
    "checkout.session.async_payment_failed", "checkout.session.async_payment_succeeded", "checkout.session.completed"
)
def checkout_session(event: Event) -> list[Reference]:
    """Return the subscription that the session created, if any, and the customer, who may be new."""
    return [*referred(event, "subscription"), *referred(event, "customer")]
