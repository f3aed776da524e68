"""Fields and bases that the schemas share."""

import unicodedata
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


class Text(fields.String):
    """What a person typed: trimmed, of 1 to ``longest`` characters, and nothing in it that acts instead of being read.

    Control characters would end a line in an e-mail's header or be refused by PostgreSQL; marks that turn the reading
    direction show another text than is stored. ``lines`` allows line breaks and tabs.
    """

    def __init__(self, *, longest: int, lines: bool = False, **kwargs: Any) -> None:
        super().__init__(validate=validate.Length(min=1, max=longest), **kwargs)
        self.lines = lines

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text: str = super()._deserialize(value, attr, data, **kwargs)
        if self.lines:
            text = text.replace("\r\n", "\n")
        allowed = "\n\t" if self.lines else ""
        if any(acts(each) and each not in allowed for each in text):
            raise ValidationError("Contains characters that are not text.")
        return text.strip()


def acts(character: str) -> bool:
    """Whether it is a control character, a separator of lines, half a surrogate pair or a turn of direction."""
    turns = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    return unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} or character in turns


class EmailAddress(Text):
    """An e-mail address, by its syntax."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(longest=320, **kwargs)
        self.validators.append(validate.Email())


class UtcDateTime(fields.Field[datetime]):
    """An aware time, written in ISO 8601 with Z."""

    def _serialize(self, value: datetime | None, *_: Any, **__: Any) -> str | None:
        return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def utc(description: str) -> UtcDateTime:
    """A documented time."""
    return UtcDateTime(metadata={"type": "string", "format": "date-time", "description": description})
