"""What a network, and Stripe itself, may make of one event before it is delivered."""

from copy import deepcopy
from typing import Any

from tests.support.json_types import Json

OLDER = "2024-06-20"
MEANT_OTHERWISE: Json = {"customer": {"name": "Old"}, "product": {"name": "Old"}, "price": {"lookup_key": "old"}}
"""What can be read of an older version all the same, and would be wrong: nobody may read it."""


def twin(event: Json, number: int) -> Json:
    """The same change told a second time, under an id of its own."""
    return event | {"id": f"evt_twin_{number}"}


def of_live_mode(event: Json, number: int) -> Json:
    """What happened to an object of the same id in the other mode: none of our business."""
    told = deepcopy(event)
    told |= {"id": f"evt_live_{number}", "livemode": True, "created": event["created"] + 1}
    told["data"]["object"] |= {"name": "Somebody else", "status": "canceled", "active": False}
    return told


def of_an_older_version(event: Json) -> Json:
    """As an endpoint of an older API version gets it."""
    told = before_basil(event) | {"api_version": OLDER}
    thing = told["data"]["object"]
    thing |= MEANT_OTHERWISE.get(thing["object"], {})
    return told


def before_basil(event: Json) -> Json:
    """The shape of before, whatever version the event claims: it cannot be read."""
    told = deepcopy(event)
    thing: Any = told["data"]["object"]
    if thing["object"] == "subscription":
        for item in thing["items"]["data"]:
            for name in ("current_period_start", "current_period_end"):
                thing[name] = item.pop(name)
    elif thing["object"] == "invoice":
        details = (thing.pop("parent") or {}).get("subscription_details") or {}
        thing["subscription"] = details.get("subscription")
    return told
