"""The fields of a Stripe event that the inbox needs. The inbox stores the rest as raw bytes.

Plain Python reads the envelope, as it reads all of Stripe's objects. A marshmallow schema would take a tenth of the
time of an acknowledgement.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from gateway.errors import WebhookRefused

THIN = "v2.core.event"  # the ``object`` of a thin event
LATEST = 2**33  # the latest time that we accept, in Unix seconds: the year 2242


def text(pattern: str) -> Callable[[object], bool]:
    """Return a check that a value is a string and that all of it matches ``pattern``.

    No pattern here matches a NUL or a lone surrogate, because PostgreSQL refuses both.
    """
    matches = re.compile(pattern).fullmatch
    return lambda value: isinstance(value, str) and matches(value) is not None


def optional(check: Callable[[object], bool]) -> Callable[[object], bool]:
    """Return a check that accepts null and every value that ``check`` accepts."""
    return lambda value: value is None or check(value)


def is_second(value: object) -> bool:
    """Return whether ``value`` is a time in Unix seconds."""
    return type(value) is int and 0 <= value <= LATEST


def is_flag(value: object) -> bool:
    """Return whether ``value`` is true or false. 1 and 0 are not flags."""
    return type(value) is bool


is_id = text(r"[A-Za-z0-9_]{1,255}")


class WebhookEnvelope(NamedTuple):
    """The fields that an event of any type has. ``created`` is in Unix seconds.

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
    def read(cls, event: Any) -> "WebhookEnvelope":
        """Read an event's JSON. Raise WebhookRefused with the names of the missing or invalid fields."""
        if not isinstance(event, Mapping):
            raise WebhookRefused("The body is not a single Stripe event.")
        if event.get("object") == THIN:
            return check(read_thin(event))
        data = event.get("data")
        stripe_object = data.get("object") if isinstance(data, Mapping) else None
        if not isinstance(stripe_object, Mapping):
            raise WebhookRefused("The body is not a Stripe event.", errors={"data": ["Not valid."]})
        get: Callable[[str], Any] = event.get
        return check(
            cls(
                get("id"),
                get("object"),
                get("type"),
                get("created"),
                get("livemode"),
                get("api_version"),
                get("account"),
                stripe_object.get("id"),
            )
        )


def check(parsed: WebhookEnvelope) -> WebhookEnvelope:
    """Return the envelope. Raise WebhookRefused with the names of the missing or invalid fields."""
    checked = zip(parsed._fields, CHECKS, parsed, strict=True)
    if wrong := [name for name, is_right, value in checked if not is_right(value)]:
        raise WebhookRefused("The body is not a Stripe event.", errors={name: ["Not valid."] for name in wrong})
    return parsed


def read_thin(event: Mapping[str, Any]) -> WebhookEnvelope:
    """Return the envelope of a thin event, whose time is text and whose ``context`` names a connected account.

    https://docs.stripe.com/api/v2/core/events/object
    """
    related = event.get("related_object")
    try:
        created = int(datetime.fromisoformat(event["created"]).timestamp())
    except (KeyError, TypeError, ValueError, OverflowError):
        created = -1  # which the check refuses
    return WebhookEnvelope(
        id=event.get("id", ""),
        object=THIN,
        type=event.get("type", ""),
        created=created,
        livemode=event.get("livemode", ""),
        api_version=None,
        account=event.get("context"),
        object_id=related.get("id") if isinstance(related, Mapping) else None,
    )


CHECKS = (
    is_id,
    text(r"event|v2\.core\.event"),
    text(r"[a-z0-9_.]{1,255}"),
    is_second,
    is_flag,
    optional(text(r"[A-Za-z0-9._-]{1,64}")),
    optional(is_id),
    # People may choose the ids of products, plans and coupons: `gold-plan`, `25%OFF`. An upcoming invoice has no id.
    optional(text(r"[^\0\ud800-\udfff]{1,255}")),
)
"""One check for each field, in the order of the fields."""
