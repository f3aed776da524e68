"""Requests from a seed file, made one after another.

In them ``${name:id}`` stands for the id in the answer to the earlier request of that name.
"""

import re
from collections.abc import Iterator

from werkzeug.test import Client

from gateway.sandbox.json_types import Json
from gateway.sandbox.seed import Seed, StartError

_REFERENCE = re.compile(r"\$\{([^}:]*):([^}]*)\}")


def create(client: Client, seed: Seed) -> None:
    """Make the fixtures' requests in order. Raise StartError naming the fixture whose request failed."""
    answers: dict[str, Json] = {}
    for number, fixture in enumerate(seed.fixtures, 1):
        name = fixture["name"]
        try:
            answers[name] = _make(client, fixture, answers)
        except StartError as error:
            raise StartError(f"fixture {number} ({name}): {error}") from None


def make_request(client: Client, method: str, path: str, params: Json) -> Json:
    """Make one request as any other client would, and return its answer."""
    headers = {"Authorization": "Bearer sk_test_seed"}
    response = client.open(path, method=method.upper(), query_string=list(_form_pairs(params)), headers=headers)
    answer: Json = response.get_json()
    return answer


def _make(client: Client, fixture: Json, answers: dict[str, Json]) -> Json:
    path = _fill_text(fixture["path"], answers)
    params = {name: _fill(value, answers) for name, value in fixture.get("params", {}).items()}
    answer = make_request(client, fixture["method"], path, params)
    error = answer.get("error", {})
    if error.get("type") != fixture.get("expected_error_type"):
        raise StartError(error.get("message") or f"expected the error {fixture['expected_error_type']}, got none")
    return answer


def _fill(value: object, answers: dict[str, Json]) -> object:
    """Return ``value`` with each ``${name:path}`` replaced by the value at that path of the named answer."""
    if isinstance(value, dict):
        return {key: _fill(child, answers) for key, child in value.items()}
    if isinstance(value, list):
        return [_fill(child, answers) for child in value]
    return _fill_text(value, answers) if isinstance(value, str) else value


def _fill_text(text: str, answers: dict[str, Json]) -> str:
    return _REFERENCE.sub(lambda found: _look_up(found[1], found[2], answers), text)


def _look_up(name: str, path: str, answers: dict[str, Json]) -> str:
    """Return the value at a path of an answer, such as ``id`` or ``items.data.0.id``."""
    if name not in answers:
        raise StartError(f"${{{name}:{path}}} refers to no earlier fixture")
    node: object = answers[name]
    for key in path.split("."):
        if isinstance(node, dict) and key in node:
            node = node[key]
        elif isinstance(node, list) and key.isdecimal() and int(key) < len(node):
            node = node[int(key)]
        else:
            raise StartError(f"the answer of {name} has no {path}")
    return _text(node)


def _form_pairs(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield form pairs whose names look like ``items[0][price]``."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if children is None:
        yield name, _text(value)
        return
    for key, child in children:
        yield from _form_pairs(child, f"{name}[{key}]" if name else str(key))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
