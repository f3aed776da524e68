"""Reads and writes Stripe's JSON with orjson. Falls back to the standard library for lone surrogates.

A JSON text may contain a lone surrogate, for example where a program cut an emoji in half. A lone surrogate is not
valid Unicode, so orjson refuses the whole text. We must still read such an event. The broken text is usually in a field
that we do not use.
"""

import json
import re
from typing import Any, NoReturn

import orjson

# This also matches a valid pair of surrogates. In that case orjson refused the text for another reason.
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
CLIENT_SECRET = re.compile(rb'("client_secret"\s*:\s*)"(?:[^"\\]|\\.)*"')


def loads(text: bytes) -> Any:
    """Read JSON in UTF-8. Raise ValueError for invalid JSON, for NaN and Infinity, and for JSON nested too deeply."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        if SURROGATE.search(text) is None:
            raise
    try:
        return json.loads(text.decode(), parse_constant=refuse)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def refuse(constant: str) -> NoReturn:
    """Raise ValueError for NaN or Infinity, which the standard library would accept as numbers."""
    raise ValueError(f"{constant} is not JSON")


def dumps(value: Any) -> bytes:
    """Write ``value`` as JSON that ``loads`` can read. Raise TypeError, ValueError or RecursionError if it cannot."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, allow_nan=False).encode()  # ASCII output escapes lone surrogates


def without_client_secrets(text: bytes) -> bytes:
    """Return JSON with null for each ``client_secret``. Its holder can complete a payment or add a card.

    The pattern only matches the name of a member, because a quote inside a string is escaped.
    """
    return CLIENT_SECRET.sub(rb"\1null", text) if b"client_secret" in text else text
