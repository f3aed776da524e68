"""The requests of a seed file, made one after the other; ``${name:id}`` stands for what an earlier one answered."""

import re
from collections.abc import Iterator

from werkzeug.test import Client

from gateway.sandbox.json_types import Json
from gateway.sandbox.seed import Seed, StartError

_REFERENCE = re.compile(r"\$\{([^}:]*):([^}]*)\}")


def create(client: Client, seed: Seed) -> None:
    """Make the fixtures' requests in their order; StartError names the one that was refused."""
    answers: dict[str, Json] = {}
    for number, fixture in enumerate(seed.fixtures, 1):
        name = fixture["name"]
        try:
            answers[name] = _ask(client, fixture, answers)
        except StartError as error:
            raise StartError(f"fixture {number} ({name}): {error}") from None


def ask(client: Client, method: str, path: str, params: Json) -> Json:
    """One request, in the way of any other client; its answer."""
    headers = {"Authorization": "Bearer sk_test_seed"}
    response = client.open(path, method=method.upper(), query_string=list(_pairs(params)), headers=headers)
    answer: Json = response.get_json()
    return answer


def _ask(client: Client, fixture: Json, answers: dict[str, Json]) -> Json:
    path = _filled_text(fixture["path"], answers)
    params = {name: _filled(value, answers) for name, value in fixture.get("params", {}).items()}
    answer = ask(client, fixture["method"], path, params)
    error = answer.get("error", {})
    if error.get("type") != fixture.get("expected_error_type"):
        raise StartError(error.get("message") or f"no {fixture['expected_error_type']}, though one was expected")
    return answer


def _filled(value: object, answers: dict[str, Json]) -> object:
    """``value`` with each ``${name:path}`` replaced by what the answer of that name holds there."""
    if isinstance(value, dict):
        return {key: _filled(child, answers) for key, child in value.items()}
    if isinstance(value, list):
        return [_filled(child, answers) for child in value]
    return _filled_text(value, answers) if isinstance(value, str) else value


def _filled_text(text: str, answers: dict[str, Json]) -> str:
    return _REFERENCE.sub(lambda found: _referred(found[1], found[2], answers), text)


def _referred(name: str, path: str, answers: dict[str, Json]) -> str:
    """``id`` or ``items.data.0.id`` of an answer."""
    if name not in answers:
        raise StartError(f"${{{name}:{path}}} refers to no fixture before it")
    node: object = answers[name]
    for key in path.split("."):
        if isinstance(node, dict) and key in node:
            node = node[key]
        elif isinstance(node, list) and key.isdecimal() and int(key) < len(node):
            node = node[int(key)]
        else:
            raise StartError(f"the answer of {name} has no {path}")
    return _text(node)


def _pairs(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Form pairs, ``items[0][price]``."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if children is None:
        yield name, _text(value)
        return
    for key, child in children:
        yield from _pairs(child, f"{name}[{key}]" if name else str(key))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
