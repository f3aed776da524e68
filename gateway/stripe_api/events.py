"""Reads a Stripe event from its JSON, together with the object's previous state.

https://docs.stripe.com/api/events/object
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from gateway.stripe_api.times import from_unix

JsonObject = Mapping[str, Any]  # Stripe's JSON. The snapshots read it field by field.


UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, OSError, RecursionError)
"""The errors that reading a missing, null, invalid or too deeply nested field may raise."""


class UnreadableObject(ValueError):
    """A Stripe object lacks a field that its API version promises. The caller must refresh the object, never guess."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event. ``object`` is the state at ``created``. ``previous`` is the state before, for ``*.updated`` only."""

    id: str
    type: str
    created: datetime
    api_version: str | None
    object: JsonObject
    previous: JsonObject | None
    by_request: bool = False
    """Whether a request caused the event (ours or the dashboard's). Otherwise Stripe acted by itself."""
    request_key: str | None = None
    """The idempotency key of that request."""
    odd_previous: bool = False
    """Whether the event carries an unreadable previous state. ``previous`` is None then."""

    @property
    def is_first(self) -> bool:
        """Return whether this is the object's own ``created`` event, which no other state can precede."""
        return self.type.endswith(".created")

    @classmethod
    def from_json(cls, event: JsonObject) -> Self:
        """Read an event as delivered or listed. Raise UnreadableObject if a field is missing that every event has."""
        try:
            data = event["data"]
            stripe_object = data["object"]
            if not isinstance(stripe_object, Mapping):
                raise TypeError("no object")
            previous, odd_previous = previous_of(stripe_object, data.get("previous_attributes"))
            request = event.get("request")
            request = request if isinstance(request, Mapping) else {"id": request}  # old API versions send the id alone
            key = request.get("idempotency_key")
            return cls(
                id=event["id"],
                type=event["type"],
                created=from_unix(event["created"]),
                api_version=event.get("api_version"),
                object=stripe_object,
                previous=previous,
                odd_previous=odd_previous,
                by_request=request.get("id") is not None,
                request_key=key if isinstance(key, str) and key.isprintable() else None,  # all our keys are printable
            )
        except UNREADABLE as error:
            raise UnreadableObject(f"not an event: {error!r}") from error


def previous_of(after: JsonObject, changed: Any) -> tuple[JsonObject | None, bool]:
    """Return the previous state, if the event has a readable one, and whether it has an unreadable one."""
    try:
        return (before(after, changed) if changed else None), False
    except UNREADABLE:
        return None, True


def before(after: JsonObject, changed: JsonObject) -> dict[str, Any]:
    """Return the object's previous state. ``changed`` holds the old values of the changed fields only.

    Stripe names only the changed members of a nested object, but sends a changed array whole. A metadata key that was
    added has the old value null.
    """
    state = dict(after)
    for name, old in changed.items():
        now = state.get(name)
        state[name] = before(now, old) if isinstance(old, Mapping) and isinstance(now, Mapping) else old
    return state
