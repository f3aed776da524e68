"""Endpoints of subscription items (https://docs.stripe.com/api/subscription_items).

Each write is a subscription update that names one item.
"""

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
_BEHAVIORS = "payment_behavior proration_behavior proration_date"
_ITEM_FIELDS = "price quantity metadata discounts tax_rates"


@routes.post("/v1/subscription_items", SubscriptionItemCreateParams, f"subscription {_ITEM_FIELDS} {_BEHAVIORS}")
def create(work: Work, params: Json) -> Json:
    """Add an item and charge it for the rest of the current period."""
    subscription = work.get("subscription", params["subscription"], param="subscription", status=400)
    before = {item["id"] for item in items_of(subscription)}
    after = _change_item(work, subscription, params, _pick(params, _ITEM_FIELDS))
    return next(item for item in after if item["id"] not in before)


@routes.get("/v1/subscription_items/{item}", SubscriptionItemRetrieveParams)
def retrieve(work: Work, params: Json, item: str) -> Json:
    """Return an item."""
    return _find_item(work, item)[1]


@routes.post("/v1/subscription_items/{item}", SubscriptionItemUpdateParams, f"{_ITEM_FIELDS} {_BEHAVIORS} off_session")
def update(work: Work, params: Json, item: str) -> Json:
    """Change the price or quantity of an item, prorated.

    The item stays as it is while the change waits for its payment.
    """
    subscription, found = _find_item(work, item)
    _change_item(work, subscription, params, _pick(params, _ITEM_FIELDS) | {"id": item})
    now = items_of(work.get("subscription", subscription["id"]))
    return next((row for row in now if row["id"] == item), found)


@routes.delete("/v1/subscription_items/{item}", SubscriptionItemDeleteParams, _BEHAVIORS)
def delete(work: Work, params: Json, item: str) -> Json:
    """Remove an item and credit its unused time. The last item cannot be removed."""
    subscription, _item = _find_item(work, item)
    _change_item(work, subscription, params, {"id": item, "deleted": True})
    return {"id": item, "object": "subscription_item", "deleted": True}


@routes.get("/v1/subscription_items", SubscriptionItemListParams, "subscription limit")
def list_all(work: Work, params: Json) -> Json:
    """List a subscription's items, oldest first.

    The list's url contains the query, as recorded from Stripe's API.
    """
    subscription = work.get("subscription", params["subscription"], param="subscription")
    url = f"/v1/subscription_items?subscription={subscription['id']}"
    return page(work, items_of(subscription), params, kind="subscription_item", url=url)


def _find_item(work: Work, item: str) -> tuple[Json, Json]:
    """Return the subscription and its item, or raise the 404 recorded from Stripe's API."""
    owner = work.recall("item_owner", item)
    subscription = work.find("subscription", owner["subscription"]) if owner else None
    for found in items_of(subscription) if subscription else []:
        if subscription and found["id"] == item:
            return subscription, found
    raise invalid(f"Invalid subscription_item id: {item}", status=404)


def _pick(params: Json, names: str) -> Json:
    return {name: params[name] for name in names.split() if name in params}


def _change_item(work: Work, subscription: Json, params: Json, item: Json) -> list[Json]:
    """Update the subscription with a change of this one item.

    Return the requested items, even if they still wait for a payment.
    """
    if subscription["status"] in ENDED:
        raise missing("subscription", subscription["id"], param="subscription")
    found = drop_pending_update(work, subscription) if subscription["pending_update"] else subscription
    with _item_parameter_names():
        planned = change.plan(work, found, _pick(params, _BEHAVIORS) | {"items": [item]})
    change.update(work, planned, params.get("payment_behavior", "allow_incomplete"))
    return items_of(planned.after)


@contextmanager
def _item_parameter_names() -> Iterator[None]:
    """Rename ``items[0][price]``, the name in a subscription's update, to ``price`` in errors."""
    try:
        yield
    except StripeError as error:
        for field in ("message", "param"):
            if field in error.fields:
                error.fields[field] = error.fields[field].replace("items[0][price]", "price")
        raise
