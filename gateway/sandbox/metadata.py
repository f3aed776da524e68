"""Metadata (https://docs.stripe.com/api/metadata)."""

from gateway.sandbox.json_types import Json


def merged(old: Json, given: Json | str) -> Json:
    """Return metadata with the given keys merged in. An empty value unsets its key. An empty string clears all keys."""
    if isinstance(given, str):
        return {}
    return {key: value for key, value in (old | given).items() if value != ""}
