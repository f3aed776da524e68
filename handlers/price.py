"""``price.*`` reports what a plan costs."""

from dataclasses import replace

from gateway.stripe_api.snapshots import Event, PriceSnapshot
from handlers.registry import handles


@handles("price.created", "price.updated")
def price(event: Event) -> list[PriceSnapshot]:
    """Return the price as it was at the second of the event."""
    return [PriceSnapshot.from_event(event)]


@handles("price.deleted")
def price_deleted(event: Event) -> list[PriceSnapshot]:
    """Return the price as deleted. The payload is the last full object, which still calls it active."""
    return [replace(PriceSnapshot.from_event(event), active=False, deleted=True)]
