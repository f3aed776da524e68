"""``product.*`` reports the product that a plan is at Stripe."""

from dataclasses import replace

from gateway.stripe_api.snapshots import Event, ProductSnapshot
from handlers.registry import handles


@handles("product.created", "product.updated")
def product(event: Event) -> list[ProductSnapshot]:
    """Return the product as it was at the second of the event."""
    return [ProductSnapshot.from_event(event)]


@handles("product.deleted")
def product_deleted(event: Event) -> list[ProductSnapshot]:
    """Return the product as deleted. The payload is the last full object, which still calls it active."""
    return [replace(ProductSnapshot.from_event(event), active=False, deleted=True)]
