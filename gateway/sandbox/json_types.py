"""The one name for JSON objects as Stripe sends them."""

from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]
"""A JSON object. Values really are anything: Stripe's objects nest freely, and the SDK gives them their types."""
