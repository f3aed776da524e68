"""Variants of one event that Stripe or the network may deliver."""

from copy import deepcopy
from typing import Any

from tests.support.json_types import Json

OLDER = "2024-06-20"
MISLEADING: Json = {"customer": {"name": "Old"}, "product": {"name": "Old"}, "price": {"lookup_key": "old"}}
"""Wrong values in fields that are readable in an older version too. The gateway must not read them."""


def twin(event: Json, number: int) -> Json:
    """Return a second event about the same change, with its own id."""
    return event | {"id": f"evt_twin_{number}"}


def of_live_mode(event: Json, number: int) -> Json:
    """Return an event about an object with the same id in live mode, which the gateway must reject."""
    variant = deepcopy(event)
    variant |= {"id": f"evt_live_{number}", "livemode": True, "created": event["created"] + 1}
    variant["data"]["object"] |= {"name": "Somebody else", "status": "canceled", "active": False}
    return variant


def of_an_older_version(event: Json) -> Json:
    """Return the event as an endpoint of an older API version receives it."""
    variant = before_basil(event) | {"api_version": OLDER}
    stripe_object = variant["data"]["object"]
    stripe_object |= MISLEADING.get(stripe_object["object"], {})
    return variant


def before_basil(event: Json) -> Json:
    """Return the event in the shape before basil, which is unreadable, but without a change of its version."""
    variant = deepcopy(event)
    stripe_object: Any = variant["data"]["object"]
    if stripe_object["object"] == "subscription":
        for item in stripe_object["items"]["data"]:
            for name in ("current_period_start", "current_period_end"):
                stripe_object[name] = item.pop(name)
    elif stripe_object["object"] == "invoice":
        details = (stripe_object.pop("parent") or {}).get("subscription_details") or {}
        stripe_object["subscription"] = details.get("subscription")
    return variant
