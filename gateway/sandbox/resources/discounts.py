"""Endpoints that remove discounts (https://docs.stripe.com/api/discounts)."""

from stripe.params import CustomerDeleteDiscountParams, SubscriptionDeleteDiscountParams

from gateway.sandbox.billing import discounts
from gateway.sandbox.errors import invalid, not_built
from gateway.sandbox.json_types import Json
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()


@routes.delete("/v1/subscriptions/{subscription}/discount", SubscriptionDeleteDiscountParams)
def delete_of_subscription(work: Work, params: Json, subscription: str) -> Json:
    """Remove the subscription's discount. Those of its items stay."""
    found = work.get("subscription", subscription)
    if not found["discounts"]:
        raise invalid(f"No active discount for subscription: {subscription}", status=404, code="resource_missing")
    if len(found["discounts"]) > 1:
        raise not_built("this route for a subscription with several discounts, which `discounts` can remove")
    discounts.announce(work, found, work.update(found, {"discounts": []}))
    return _removed(work.get("discount", found["discounts"][0]))


@routes.delete("/v1/customers/{customer}/discount", CustomerDeleteDiscountParams)
def delete_of_customer(work: Work, params: Json, customer: str) -> Json:
    """Remove the customer's discount. This API version has no request that gives a customer one."""
    found = work.get("customer", customer)
    if not found["discount"]:
        raise invalid(f"No active discount for customer: {customer}", status=404, code="resource_missing")
    return _removed(discounts.detach_from_customer(work, found))


def _removed(discount: Json) -> Json:
    """Return the discount as Stripe answers a removal, with ``deleted`` instead of its end."""
    return {key: value for key, value in discount.items() if key != "end"} | {"deleted": True}
