"""``price.*``: what a plan costs."""

from dataclasses import replace

from gateway.stripe_api.snapshots import Event, PriceSnapshot
from handlers.registry import handles


@handles("price.created", "price.updated")
def price(event: Event) -> list[PriceSnapshot]:
    """The price as it stood at that second."""
    return [PriceSnapshot.from_event(event)]


@handles("price.deleted")
def price_deleted(event: Event) -> list[PriceSnapshot]:
    """The payload is the last full object, still called active."""
    return [replace(PriceSnapshot.from_event(event), active=False, deleted=True)]
