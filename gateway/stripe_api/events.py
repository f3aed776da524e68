"""A Stripe event, read from its JSON, and the state before it.

https://docs.stripe.com/api/events/object
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from gateway.stripe_api.times import from_unix

JsonObject = Mapping[str, Any]  # Stripe's JSON: read by the snapshots, field by field


UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, OSError, RecursionError)
"""What reading a missing, null, odd or endlessly nested field may raise."""


class UnreadableObject(ValueError):
    """An object of Stripe's lacks what its API version promises: refresh it, never guess."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event. ``object`` is the state at ``created``; ``previous`` the state before, for ``*.updated`` only."""

    id: str
    type: str
    created: datetime
    api_version: str | None
    object: JsonObject
    previous: JsonObject | None
    by_request: bool = False
    """Whether a request caused it (ours, the dashboard's); if not, Stripe did it by itself."""
    request_key: str | None = None
    """That request's idempotency key."""
    odd_previous: bool = False
    """Whether it says what the state before was, but so that it cannot be read: ``previous`` is None."""

    @property
    def is_first(self) -> bool:
        """Whether nothing can have come before it: the object's own ``created`` event."""
        return self.type.endswith(".created")

    @classmethod
    def from_json(cls, event: JsonObject) -> Self:
        """Read an event as delivered or listed. Raises UnreadableObject if it lacks a part of every event."""
        try:
            data = event["data"]
            about = data["object"]
            if not isinstance(about, Mapping):
                raise TypeError("no object")
            previous, odd_previous = previous_of(about, data.get("previous_attributes"))
            request = event.get("request")
            request = request if isinstance(request, Mapping) else {"id": request}  # only an id, in versions long ago
            key = request.get("idempotency_key")
            return cls(
                id=event["id"],
                type=event["type"],
                created=from_unix(event["created"]),
                api_version=event.get("api_version"),
                object=about,
                previous=previous,
                odd_previous=odd_previous,
                by_request=request.get("id") is not None,
                request_key=key if isinstance(key, str) and key.isprintable() else None,  # ours are
            )
        except UNREADABLE as error:
            raise UnreadableObject(f"not an event: {error!r}") from error


def previous_of(after: JsonObject, changed: Any) -> tuple[JsonObject | None, bool]:
    """The state before, if the event says it; and whether it says it so that it cannot be read."""
    try:
        return (before(after, changed) if changed else None), False
    except UNREADABLE:
        return None, True


def before(after: JsonObject, changed: JsonObject) -> dict[str, Any]:
    """The object as it was: ``changed`` holds the old values of the changed fields only.

    Within objects only the changed members are named; a changed array stands there whole; a metadata key that was
    added is null.
    """
    state = dict(after)
    for name, old in changed.items():
        now = state.get(name)
        state[name] = before(now, old) if isinstance(old, Mapping) and isinstance(now, Mapping) else old
    return state
