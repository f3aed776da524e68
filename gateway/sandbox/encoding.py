"""Encoding of answers as JSON, and decoding of credentials."""

import base64
import binascii
import json

from gateway.sandbox.json_types import Json


def dump(answer: Json) -> bytes:
    """Encode an answer as indented JSON, as Stripe sends it."""
    return json.dumps(answer, indent=2, ensure_ascii=False).encode()


def basic_user(credentials: str) -> str:
    """Return the user name of HTTP basic authentication, which may be the API key. Return "" if it is unreadable."""
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""
