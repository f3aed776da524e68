"""https://docs.stripe.com/api/subscription_items: a subscription's update, said of one item."""

from collections.abc import Iterator
from contextlib import contextmanager

from stripe.params import (
    SubscriptionItemCreateParams,
    SubscriptionItemDeleteParams,
    SubscriptionItemListParams,
    SubscriptionItemRetrieveParams,
    SubscriptionItemUpdateParams,
)

from gateway.sandbox.billing import change
from gateway.sandbox.errors import StripeError, invalid, missing
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.subscription import ENDED, items_of
from gateway.sandbox.pagination import page
from gateway.sandbox.resources.subscriptions import drop_pending_update
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()
_HOW = "payment_behavior proration_behavior proration_date"
_WHAT = "price quantity metadata"


@routes.post("/v1/subscription_items", SubscriptionItemCreateParams, f"subscription {_WHAT} {_HOW}")
def create(work: Work, params: Json) -> Json:
    """One more item, charged for the rest of the running period."""
    subscription = work.get("subscription", params["subscription"], param="subscription", status=400)
    before = {item["id"] for item in items_of(subscription)}
    after = _changed(work, subscription, params, _named(params, _WHAT))
    return next(item for item in after if item["id"] not in before)


@routes.get("/v1/subscription_items/{item}", SubscriptionItemRetrieveParams)
def retrieve(work: Work, params: Json, item: str) -> Json:
    """An item."""
    return _found(work, item)[1]


@routes.post("/v1/subscription_items/{item}", SubscriptionItemUpdateParams, f"{_WHAT} {_HOW} off_session")
def update(work: Work, params: Json, item: str) -> Json:
    """Another price or quantity, prorated; a change that waits for its payment leaves the item as it is."""
    subscription, found = _found(work, item)
    _changed(work, subscription, params, _named(params, _WHAT) | {"id": item})
    now = items_of(work.get("subscription", subscription["id"]))
    return next((row for row in now if row["id"] == item), found)


@routes.delete("/v1/subscription_items/{item}", SubscriptionItemDeleteParams, _HOW)
def delete(work: Work, params: Json, item: str) -> Json:
    """Take it off; its unused time is given back. The last one stays."""
    subscription, _item = _found(work, item)
    _changed(work, subscription, params, {"id": item, "deleted": True})
    return {"id": item, "object": "subscription_item", "deleted": True}


@routes.get("/v1/subscription_items", SubscriptionItemListParams, "subscription limit")
def list_all(work: Work, params: Json) -> Json:
    """A subscription's items, oldest first; the url carries the query, as recorded from Stripe's API."""
    subscription = work.get("subscription", params["subscription"], param="subscription")
    url = f"/v1/subscription_items?subscription={subscription['id']}"
    return page(work, items_of(subscription), params, kind="subscription_item", url=url)


def _found(work: Work, item: str) -> tuple[Json, Json]:
    """The subscription and its item; the error for an unknown one is as recorded from Stripe's API."""
    owner = work.recall("item_owner", item)
    subscription = work.find("subscription", owner["subscription"]) if owner else None
    for found in items_of(subscription) if subscription else []:
        if subscription and found["id"] == item:
            return subscription, found
    raise invalid(f"Invalid subscription_item id: {item}", status=404)


def _named(params: Json, names: str) -> Json:
    return {name: params[name] for name in names.split() if name in params}


def _changed(work: Work, subscription: Json, params: Json, item: Json) -> list[Json]:
    """Update the subscription by this one item; answers the items asked for, even if they wait for a payment."""
    if subscription["status"] in ENDED:
        raise missing("subscription", subscription["id"], param="subscription")
    found = drop_pending_update(work, subscription) if subscription["pending_update"] else subscription
    with _named_alone():
        planned = change.plan(work, found, _named(params, _HOW) | {"items": [item]})
    change.update(work, planned, params.get("payment_behavior", "allow_incomplete"))
    return items_of(planned.after)


@contextmanager
def _named_alone() -> Iterator[None]:
    """Errors name ``price`` here, which in a subscription's update is ``items[0][price]``."""
    try:
        yield
    except StripeError as error:
        for field in ("message", "param"):
            if field in error.fields:
                error.fields[field] = error.fields[field].replace("items[0][price]", "price")
        raise
