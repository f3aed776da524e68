"""https://docs.stripe.com/api/subscription_items."""

from stripe.params import SubscriptionItemListParams, SubscriptionItemRetrieveParams

from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.subscription import items_of
from gateway.sandbox.pagination import page
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()


@routes.get("/v1/subscription_items/{item}", SubscriptionItemRetrieveParams)
def retrieve(work: Work, params: Json, item: str) -> Json:
    """An item; the error for an unknown one is as recorded from Stripe's API, 2026-08-26.dahlia."""
    owner = work.recall("item_owner", item)
    subscription = work.find("subscription", owner["subscription"]) if owner else None
    for found in items_of(subscription) if subscription else []:
        if found["id"] == item:
            return found
    raise invalid(f"Invalid subscription_item id: {item}", status=404)


@routes.get("/v1/subscription_items", SubscriptionItemListParams, "subscription limit")
def list_all(work: Work, params: Json) -> Json:
    """A subscription's items, oldest first; the url carries the query, as recorded from Stripe's API."""
    subscription = work.get("subscription", params["subscription"], param="subscription")
    url = f"/v1/subscription_items?subscription={subscription['id']}"
    return page(work, items_of(subscription), params, kind="subscription_item", url=url)
