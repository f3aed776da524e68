"""Fields and bases that the schemas share."""

from datetime import UTC, datetime
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate

# \A and \Z, since $ would let a trailing newline pass; none of them lets a NUL pass, which PostgreSQL's text refuses.
STRIPE_ID = validate.Regexp(r"\A[A-Za-z0-9_]{1,255}\Z", error="Not an id of Stripe's.")
PLAN_KEY = validate.Regexp(r"\A[a-z0-9_]{1,64}\Z", error="Not the key of a plan.")
TOKEN = validate.Regexp(r"\A[A-Za-z0-9_.-]{1,4096}\Z", error="Not a token.")


class InputSchema(Schema):
    """A request body: a field that nobody knows is a mistake, not a wish to be ignored."""

    class Meta:
        """marshmallow's options."""

        unknown = RAISE


class StrictBoolean(fields.Field[bool]):
    """true or false; marshmallow's own would take 1 and 0 as well, since Python calls them equal."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("Not a boolean.")
        return value


class UtcDateTime(fields.Field[datetime]):
    """An aware time, written in ISO 8601 with Z."""

    def _serialize(self, value: datetime | None, *_: Any, **__: Any) -> str | None:
        return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def utc(description: str) -> UtcDateTime:
    """A documented time."""
    return UtcDateTime(metadata={"type": "string", "format": "date-time", "description": description})
