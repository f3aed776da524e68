"""Event objects and what changed between two states of an object."""

from typing import get_args

import stripe

from gateway.sandbox.json_types import Json

API_VERSION = "2026-10-28.endive"
TYPES = frozenset(get_args(stripe.Event.__annotations__["type"]))
"""All that Stripe has, as the pinned SDK lists them: there is no ``invoiceitem.updated``, for one."""


def previous_attributes(old: Json, new: Json) -> Json:
    """The old values of what changed, and only those.

    Objects are compared key by key, so an added metadata key shows as null; a changed array is given whole, and so is
    a changed list object's ``data`` (https://docs.stripe.com/api/events/object; as recorded from Stripe's API,
    2026-08-26.dahlia).
    """
    changed: Json = {}
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        changed[key] = (
            previous_attributes(before, after) if isinstance(before, dict) and isinstance(after, dict) else before
        )
    return changed


def wants(endpoint: Json, event_type: str) -> bool:
    """Whether a webhook endpoint subscribed to this type of event."""
    enabled = endpoint["enabled_events"]
    return endpoint["status"] == "enabled" and ("*" in enabled or event_type in enabled)


def event(  # one parameter a field
    *,
    event_id: str,
    created: int,
    event_type: str,
    obj: Json,
    previous: Json | None,
    request: Json,
    endpoints: int,
) -> Json:
    """https://docs.stripe.com/api/events/object."""
    return {
        "id": event_id,
        "object": "event",
        "api_version": API_VERSION,
        "created": created,
        "data": {"object": obj} | ({} if previous is None else {"previous_attributes": previous}),
        "livemode": False,
        "pending_webhooks": endpoints,
        "request": request,
        "type": event_type,
    }
