"""Bytes in and out."""

import base64
import binascii
import json

from gateway.sandbox.json_types import Json


def dump(answer: Json) -> bytes:
    """Indented JSON, as Stripe sends it."""
    return json.dumps(answer, indent=2, ensure_ascii=False).encode()


def basic_user(credentials: str) -> str:
    """The user name of HTTP basic authentication, which may carry the key; "" if it cannot be read."""
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""
