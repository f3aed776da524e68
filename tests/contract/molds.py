"""Molds, which keep a JSON object's types without its values.

An example is ``{"id": "string", "balance": "integer", "phone": "null"}``.
"""

from collections.abc import Iterator
from typing import Any

_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def mold(value: Any) -> Any:
    """Return the mold of a value. It keeps keys, types, nulls and the length of lists."""
    if isinstance(value, dict):
        return {key: mold(nested) for key, nested in value.items()}
    if isinstance(value, list):
        return [mold(nested) for nested in value]
    return _NAMES[type(value)]


def distances(recorded: Any, found: Any, path: str = "") -> Iterator[str]:
    """Yield every place where two molds differ, as ``.items.data[0].price: recorded as string, and here null``."""
    if isinstance(recorded, dict) and isinstance(found, dict):
        for key in recorded | found:
            yield from distances(recorded.get(key, "absent"), found.get(key, "absent"), f"{path}.{key}")
    elif isinstance(recorded, list) and isinstance(found, list) and len(recorded) == len(found):
        for index, (one, other) in enumerate(zip(recorded, found, strict=True)):
            yield from distances(one, other, f"{path}[{index}]")
    elif recorded != found:
        yield f"{path}: recorded as {_brief(recorded)}, and here {_brief(found)}"


def _brief(found: Any) -> str:
    if isinstance(found, list):
        return f"a list of {len(found)}"
    return "an object" if isinstance(found, dict) else str(found)
