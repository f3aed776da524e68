"""``setup_intent.succeeded`` reports that a card was added."""

from gateway.stripe_api.snapshots import Event, Reference, referred
from handlers.registry import handles


@handles("setup_intent.succeeded")
def setup_intent_succeeded(event: Event) -> list[Reference]:
    """Return the new card. A lookup of it is rare, because ``payment_method.attached`` comes too."""
    return referred(event, "payment_method")
