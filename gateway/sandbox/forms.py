"""Decoding of form bodies with brackets, such as ``items[0][price]=price_1``, into nested dicts.

Indexes stay dict keys here. ``params`` turns them into lists where the parameter is a list.
"""

import re
from collections.abc import Iterable

from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json

_NAME = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")


def decode(pairs: Iterable[tuple[str, str]]) -> Json:
    """Nest decoded form pairs. ``a[]`` counts up as in Rack, because Stripe's other SDKs rely on it."""
    tree: Json = {}
    for name, value in pairs:
        match = _NAME.match(name)
        if match is None:
            raise invalid(f"Invalid parameter name: {name}", param=name)
        keys = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
        _put(tree, keys, value, name)
    return tree


def _put(tree: Json, keys: list[str], value: str, name: str) -> None:
    node = tree
    for depth, key in enumerate(keys):
        slot = key or str(len(node))
        if depth == len(keys) - 1:
            node[slot] = value
            return
        child = node.setdefault(slot, {})
        if not isinstance(child, dict):
            raise invalid(f"Invalid parameter: {name} is both a value and an object", param=name)
        node = child
