"""The type of JSON objects."""

from typing import Any

Json = dict[str, Any]  # a JSON object with contents that Stripe or the client defines
