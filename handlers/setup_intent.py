"""``setup_intent.succeeded`` reports that a card was added."""

from dataclasses import replace

from gateway.stripe_api.snapshots import ORGANIZATION_ID_KEY, Event, Reference, referred
from handlers.registry import handles


@handles("setup_intent.succeeded")
def setup_intent_succeeded(event: Event) -> list[Reference]:
    """Return the new card. A lookup of it is rare, because ``payment_method.attached`` comes too.

    Only the gateway's own setup intents name the organization.
    """
    ours = ORGANIZATION_ID_KEY in (event.object.get("metadata") or {})
    return [replace(each, is_added=ours) for each in referred(event, "payment_method")]
