"""A seed file: the objects a sandbox begins with, the time it begins at, and what its ids are made from.

The file is that of Stripe's ``stripe fixtures`` command (https://docs.stripe.com/cli/fixtures) with ``seed`` and
``time`` added: ``{"seed": 42, "time": "2026-11-01T00:00:00Z", "fixtures": [{"name", "path", "method", "params"}]}``.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gateway.sandbox.json_types import Json

_FILE_FIELDS = {"_meta", "fixtures", "seed", "time"}
_FIXTURE_FIELDS = {"name", "path", "method", "params", "expected_error_type"}
_METHODS = ("get", "post", "delete")


class StartError(Exception):
    """Why the sandbox cannot begin as it was asked to: one line for a person."""


@dataclass(frozen=True)
class Seed:
    """A file that was read. ``time`` is unix seconds."""

    seed: int | str | None = None
    time: float | None = None
    fixtures: tuple[Json, ...] = ()


def load(path: Path) -> Seed:
    """Read and check a file; StartError, or OSError if it cannot be read."""
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise StartError(f"{path} is no JSON: {error}") from None
    try:
        return _checked(content)
    except StartError as error:
        raise StartError(f"{path}: {error}") from None


def _checked(content: object) -> Seed:
    if not isinstance(content, dict):
        raise StartError("expected an object with a list named fixtures")
    _refuse_unknown(content, _FILE_FIELDS)
    seed, fixtures = content.get("seed"), content.get("fixtures", [])
    if seed is not None and type(seed) not in (int, str):
        raise StartError("seed must be a whole number or a text")
    if not isinstance(fixtures, list):
        raise StartError("fixtures must be a list")
    names: set[str] = set()
    for number, fixture in enumerate(fixtures, 1):
        try:
            names.add(_check_fixture(fixture, names))
        except StartError as error:
            raise StartError(f"fixture {number}: {error}") from None
    return Seed(seed, _unix(content.get("time")), tuple(fixtures))


def _check_fixture(fixture: object, names: set[str]) -> str:
    """The name of a fixture that may follow those of ``names``."""
    if not isinstance(fixture, dict):
        raise StartError("expected an object")
    _refuse_unknown(fixture, _FIXTURE_FIELDS)
    for field in ("name", "path", "method"):
        if not isinstance(fixture.get(field), str):
            raise StartError(f"{field} must be a text")
    if not fixture["path"].startswith("/v1/"):
        raise StartError("path must begin with /v1/")
    if fixture["name"] in names:
        raise StartError(f"a fixture before it is called {fixture['name']} as well")
    if fixture["method"].lower() not in _METHODS:
        raise StartError(f"method must be one of {', '.join(_METHODS)}")
    if not isinstance(fixture.get("params", {}), dict):
        raise StartError("params must be an object")
    return str(fixture["name"])


def _refuse_unknown(given: Json, known: set[str]) -> None:
    for name in sorted(given.keys() - known):
        raise StartError(f"unknown field {name}; there are {', '.join(sorted(known))}")


def _unix(time: object) -> float | None:
    if time is None or type(time) in (int, float):
        return time  # type: ignore[return-value]  # type() narrows no tuple
    try:
        moment = datetime.fromisoformat(str(time))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise StartError("time must be unix seconds, or a date and time with its offset such as 2026-11-01T00:00:00Z")
    return moment.timestamp()
