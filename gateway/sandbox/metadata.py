"""Metadata (https://docs.stripe.com/api/metadata)."""

from gateway.sandbox.json_types import Json


def merged(old: Json, given: Json | str) -> Json:
    """Keys merge; an empty value unsets its key, an empty whole clears all."""
    if isinstance(given, str):
        return {}
    return {key: value for key, value in (old | given).items() if value != ""}
