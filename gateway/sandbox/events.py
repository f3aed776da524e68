"""Event objects, and the difference between two states of an object."""

from typing import get_args

import stripe

from gateway.sandbox.json_types import Json

API_VERSION = "2026-10-28.endive"
TYPES = frozenset(get_args(stripe.Event.__annotations__["type"]))
"""All event types that the pinned SDK lists. Stripe has no ``invoiceitem.updated``, for example."""


def previous_attributes(old: Json, new: Json) -> Json:
    """Return the old values of the changed fields only.

    Objects are compared key by key, so an added metadata key shows as null. A changed array is returned whole, and so
    is the ``data`` of a changed list object. The sources are https://docs.stripe.com/api/events/object and recordings
    of Stripe's API, 2026-08-26.dahlia.
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


def is_subscribed(endpoint: Json, event_type: str) -> bool:
    """Return whether a webhook endpoint is enabled and subscribed to this event type."""
    enabled = endpoint["enabled_events"]
    return endpoint["status"] == "enabled" and ("*" in enabled or event_type in enabled)


def event(  # one parameter per field
    *,
    event_id: str,
    created: int,
    event_type: str,
    obj: Json,
    previous: Json | None,
    request: Json,
    endpoints: int,
) -> Json:
    """Return an event object (https://docs.stripe.com/api/events/object)."""
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
