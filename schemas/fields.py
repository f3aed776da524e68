"""Fields and base classes that the schemas share."""

import unicodedata
from datetime import UTC, datetime
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate

# \A and \Z, because $ accepts a trailing newline. No pattern accepts a NUL, which PostgreSQL's text type refuses.
STRIPE_ID = validate.Regexp(r"\A[A-Za-z0-9_]{1,255}\Z", error="Must be an id from Stripe.")
PLAN_KEY = validate.Regexp(r"\A[a-z0-9_]{1,64}\Z", error="Must be the key of a plan.")
TOKEN = validate.Regexp(r"\A[A-Za-z0-9_.-]{1,4096}\Z", error="Must be a token.")


class InputSchema(Schema):
    """A request that refuses unknown fields, because ignoring one would hide the caller's mistake."""

    class Meta:
        """Options for marshmallow."""

        unknown = RAISE


class Text(fields.String):
    """Trimmed text that a person typed, of 1 to ``longest`` characters, without characters that are not text.

    A control character could end a line in an e-mail's header, or PostgreSQL would refuse it. A mark that turns the
    reading direction would show another text than the stored one. ``lines`` allows line breaks and tabs.
    """

    def __init__(self, *, longest: int, lines: bool = False, **kwargs: Any) -> None:
        super().__init__(validate=validate.Length(min=1, max=longest), **kwargs)
        self.lines = lines

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text: str = super()._deserialize(value, attr, data, **kwargs)
        if self.lines:
            text = text.replace("\r\n", "\n")
        allowed = "\n\t" if self.lines else ""
        if any(is_not_text(each) and each not in allowed for each in text):
            raise ValidationError("Contains characters that are not text.")
        return text.strip()


def is_not_text(character: str) -> bool:
    """Return whether this is a control character, a line separator, half a surrogate pair or a direction mark."""
    turns = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    return unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} or character in turns


class EmailAddress(Text):
    """An e-mail address with a valid syntax."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(longest=320, **kwargs)
        self.validators.append(validate.Email())


class UtcDateTime(fields.Field[datetime]):
    """An aware time, written in ISO 8601 with Z."""

    def _serialize(self, value: datetime | None, *_: Any, **__: Any) -> str | None:
        return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def utc(description: str) -> UtcDateTime:
    """Return a time field with a description for the OpenAPI document."""
    return UtcDateTime(metadata={"type": "string", "format": "date-time", "description": description})
