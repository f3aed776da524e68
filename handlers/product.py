"""``product.*``: a plan is a product of Stripe's."""

from dataclasses import replace

from gateway.stripe_api.snapshots import Event, ProductSnapshot
from handlers.registry import handles


@handles("product.created", "product.updated")
def product(event: Event) -> list[ProductSnapshot]:
    """The product as it stood at that second."""
    return [ProductSnapshot.from_event(event)]


@handles("product.deleted")
def product_deleted(event: Event) -> list[ProductSnapshot]:
    """The payload is the last full object, still called active."""
    return [replace(ProductSnapshot.from_event(event), active=False, deleted=True)]
