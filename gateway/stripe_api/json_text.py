"""Stripe's JSON: read and written by orjson, and by the standard library where only that can.

JSON may name half of a character: of an emoji, say, that somebody cut in two. That is no Unicode, so orjson refuses it;
but it can be written and read otherwise, and mostly it stands where nobody looks.
"""

import json
import re
from typing import Any, NoReturn

import orjson

HALF = re.compile(rb"\\u[dD][89a-fA-F]")  # or a pair of them: then orjson has refused the text for something else
CLIENT_SECRET = re.compile(rb'("client_secret"\s*:\s*)"(?:[^"\\]|\\.)*"')


def loads(text: bytes) -> Any:
    """Read JSON in UTF-8. Raises ValueError if it is none, or nested too deeply; NaN and Infinity are none."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        if HALF.search(text) is None:
            raise
    try:
        return json.loads(text.decode(), parse_constant=refuse)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def refuse(constant: str) -> NoReturn:
    """What the standard library takes for a number."""
    raise ValueError(f"{constant} is not JSON")


def dumps(value: Any) -> bytes:
    """Write what ``loads`` reads. Raises TypeError, ValueError or RecursionError if it cannot be written."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, allow_nan=False).encode()  # ASCII: half a character is escaped


def without_client_secrets(text: bytes) -> bytes:
    """Return JSON with null for each ``client_secret``. Whoever has one can complete a payment or add a card.

    The pattern only matches the name of a member, because a quote inside of a string is escaped.
    """
    return CLIENT_SECRET.sub(rb"\1null", text) if b"client_secret" in text else text
