"""The type of JSON objects as Stripe sends them."""

from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]
"""A JSON object. Its values can be anything, because Stripe's objects nest freely. The SDK gives them their types."""
