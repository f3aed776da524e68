"""``setup_intent.succeeded``: a card was taken."""

from gateway.stripe_api.snapshots import Event, Reference, referred
from handlers.registry import handles


@handles("setup_intent.succeeded")
def setup_intent_succeeded(event: Event) -> list[Reference]:
    """The card that is on file now; ``payment_method.attached`` comes with it, so a lookup is the exception."""
    return referred(event, "payment_method")
