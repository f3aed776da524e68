"""Fields and base classes that the schemas share."""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Any

from marshmallow import EXCLUDE, RAISE, Schema, ValidationError, fields, validate

# \A and \Z, because $ accepts a trailing newline. No pattern accepts a NUL, which PostgreSQL's text type refuses.
ORGANIZATION_ID_PATTERN = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
ORGANIZATION_ID = validate.Regexp(rf"\A{ORGANIZATION_ID_PATTERN.pattern}\Z", error="Must be the id of an organization.")
STRIPE_ID = validate.Regexp(r"\A[A-Za-z0-9_]{1,255}\Z", error="Must be an id from Stripe.")
PLAN_KEY = validate.Regexp(r"\A[a-z0-9_]{1,64}\Z", error="Must be the key of a plan.")
TOKEN = validate.Regexp(r"\A[A-Za-z0-9_.-]{1,4096}\Z", error="Must be a token.")


# What ``Text`` accepts, as patterns that JavaScript reads as Python does. Controls, line and paragraph separators and
# direction marks are refused, and one character must be more than a space.
_REFUSED = r"\u007f-\u009f\u2028-\u202e\u2066-\u2069"
_SPACES = r" \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_VISIBLE = rf"[^\u0000-\u001f{_REFUSED}{_SPACES}]"
_IN_LINE = rf"[^\u0000-\u001f{_REFUSED}]"
_IN_LINES = rf"(?:\r\n|[^\u0000-\u0008\u000b-\u001f{_REFUSED}])"
LINE = f"^{_IN_LINE}*{_VISIBLE}{_IN_LINE}*$"
LINES = f"^{_IN_LINES}*{_VISIBLE}{_IN_LINES}*$"


class InputSchema(Schema):
    """A request that refuses unknown fields, because ignoring one would hide the caller's mistake."""

    class Meta:
        """Options for marshmallow."""

        unknown = RAISE


class OutputSchema(Schema):
    """An answer. It always has all of its fields, so the OpenAPI document shows each of them as required."""

    class Meta:
        """Options for marshmallow."""

        unknown = EXCLUDE  # a client ignores fields that it does not know, so that a release may add some

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:  # noqa: ARG002 - marshmallow's names
        """Mark the field as required."""
        field_obj.required = True


class PlanKey(fields.String):
    """The key of a plan that the catalogue lists. The OpenAPI document shows the catalogue's keys as its enum.

    ``unmapped`` allows the plan of a subscription that the catalogue does not know.
    """

    def __init__(self, *, unmapped: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.unmapped = unmapped


class Text(fields.String):
    """Trimmed text that a person typed, of 1 to ``longest`` characters, without characters that are not text.

    A control character could end a line in an e-mail's header, or PostgreSQL would refuse it. A mark that turns the
    reading direction would show another text than the stored one. ``lines`` allows line breaks and tabs.
    """

    def __init__(self, *, longest: int, lines: bool = False, **kwargs: Any) -> None:
        pattern = {"pattern": LINES if lines else LINE}
        kwargs["metadata"] = pattern | kwargs.get("metadata", {})
        super().__init__(validate=validate.Length(min=1, max=longest), **kwargs)
        self.longest = longest
        self.lines = lines

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text: str = super()._deserialize(value, attr, data, **kwargs)
        if len(text) > self.longest:  # spaces at the ends count too, as they do for a client that checks `maxLength`
            raise ValidationError(f"Longer than maximum length {self.longest}.")
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
        self.metadata = {"format": "email", "example": "billing@example.com"}
        self.validators.append(validate.Email())


class StrictBoolean(fields.Boolean):
    """True or false as JSON has them. marshmallow's own field also takes words and numbers."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, *args, **kwargs)


class Currency(fields.String):
    """A currency of ISO 4217 in lower case, as Stripe writes it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"pattern": "^[a-z]{3}$", "example": "usd"}, **kwargs)


class UtcDateTime(fields.Field[datetime]):
    """An aware time, written in ISO 8601 with Z."""

    def _serialize(self, value: datetime | None, *_: Any, **__: Any) -> str | None:
        return None if value is None else value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def utc(description: str, *, allow_none: bool = False) -> UtcDateTime:
    """Return a time field with a description for the OpenAPI document."""
    return UtcDateTime(allow_none=allow_none, metadata={"description": description})


def one_of(*values: str, **kwargs: Any) -> fields.String:
    """Return a field that holds one of ``values``. The OpenAPI document shows them as its enum."""
    return fields.String(validate=validate.OneOf(values), **kwargs)
