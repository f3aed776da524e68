"""The part of a Stripe event that the inbox needs; the rest is kept as raw bytes.

Read by hand, as all of Stripe's objects are: a marshmallow schema would be a tenth of what an acknowledgement costs.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self

from gateway.errors import WebhookRefused

LATEST = 2**33  # Unix seconds: as far as anybody looks ahead


def text(pattern: str) -> Callable[[object], bool]:
    """A check that a value is text of that pattern, the whole of it. None matches what PostgreSQL refuses.

    That is a NUL, and half a character.
    """
    matches = re.compile(pattern).fullmatch
    return lambda value: isinstance(value, str) and matches(value) is not None


def optional(check: Callable[[object], bool]) -> Callable[[object], bool]:
    """The same check, of what may be null."""
    return lambda value: value is None or check(value)


def is_second(value: object) -> bool:
    """Whether it is a time in Unix seconds."""
    return type(value) is int and 0 <= value <= LATEST


def is_flag(value: object) -> bool:
    """Whether it is true or false, and not 1 or 0."""
    return type(value) is bool


is_id = text(r"[A-Za-z0-9_]{1,255}")


class WebhookEnvelope(NamedTuple):
    """What is known of an event before it is looked into. ``created`` is in Unix seconds.

    https://docs.stripe.com/api/events/object
    """

    id: str
    object: str
    type: str
    created: int
    livemode: bool
    api_version: str | None
    account: str | None
    object_id: str | None

    @classmethod
    def read(cls, event: Any) -> Self:
        """Read an event's JSON. Raises WebhookRefused with the names of the fields that are missing or odd."""
        if not isinstance(event, Mapping):
            raise WebhookRefused("The body is not one Stripe event.")
        data = event.get("data")
        about = data.get("object") if isinstance(data, Mapping) else None
        if not isinstance(about, Mapping):
            raise WebhookRefused("The body is not a Stripe event.", errors={"data": ["Not valid."]})
        get: Callable[[str], Any] = event.get
        found = cls(
            get("id"),
            get("object"),
            get("type"),
            get("created"),
            get("livemode"),
            get("api_version"),
            get("account"),
            about.get("id"),
        )
        wrong = [name for name, is_right, value in zip(cls._fields, CHECKS, found, strict=True) if not is_right(value)]
        if wrong:
            raise WebhookRefused("The body is not a Stripe event.", errors={name: ["Not valid."] for name in wrong})
        return found


CHECKS = (
    is_id,
    text("event"),
    text(r"[a-z0-9_.]{1,255}"),
    is_second,
    is_flag,
    optional(text(r"[A-Za-z0-9._-]{1,64}")),
    optional(is_id),
    # Products, plans and coupons may have ids that people chose: `gold-plan`, `25%OFF`. An upcoming invoice has none.
    optional(text(r"[^\0\ud800-\udfff]{1,255}")),
)
"""Of each field, in their order."""
