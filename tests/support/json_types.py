"""Types of JSON."""

from typing import Any

Json = dict[str, Any]
