"""``customer.discount.*`` reports a discount of a customer or of a subscription."""

from gateway.stripe_api.snapshots import Event, Reference, discounts_of
from handlers.registry import handles


@handles("customer.discount.created", "customer.discount.deleted", "customer.discount.updated")
def discount(event: Event) -> list[Reference]:
    """Return the discounts of the holder. The event shows only the id of the coupon, so the gateway retrieves them."""
    return discounts_of(event)
