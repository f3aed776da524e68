"""The seed file, which sets a sandbox's first objects, its start time and the random seed of its ids.

The format is that of Stripe's ``stripe fixtures`` command (https://docs.stripe.com/cli/fixtures) plus ``seed`` and
``time``, as in
``{"seed": 42, "time": "2026-11-01T00:00:00Z", "fixtures": [{"name", "path", "method", "params"}]}``.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gateway.sandbox.json_types import Json

_FILE_FIELDS = {"_meta", "fixtures", "seed", "time"}
_FIXTURE_FIELDS = {"name", "path", "method", "params", "expected_error_type"}
_METHODS = ("get", "post", "delete")


class StartError(OSError):
    """The sandbox cannot start as requested. The message is one line for the user."""


@dataclass(frozen=True)
class Seed:
    """The content of a seed file. ``time`` is in unix seconds."""

    seed: int | str | None = None
    time: float | None = None
    fixtures: tuple[Json, ...] = ()


def load(path: Path) -> Seed:
    """Read and check a file. Raise StartError if its content is wrong, and OSError if it cannot be read."""
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise StartError(f"{path} is not JSON: {error}") from None
    try:
        return _check_file(content)
    except StartError as error:
        raise StartError(f"{path}: {error}") from None


def _check_file(content: object) -> Seed:
    if not isinstance(content, dict):
        raise StartError("expected an object with a list named fixtures")
    _refuse_unknown(content, _FILE_FIELDS)
    seed, fixtures = content.get("seed"), content.get("fixtures", [])
    if seed is not None and type(seed) not in (int, str):
        raise StartError("seed must be a whole number or a string")
    if not isinstance(fixtures, list):
        raise StartError("fixtures must be a list")
    names: set[str] = set()
    for number, fixture in enumerate(fixtures, 1):
        try:
            names.add(_check_fixture(fixture, names))
        except StartError as error:
            raise StartError(f"fixture {number}: {error}") from None
    return Seed(seed, _unix_time(content.get("time")), tuple(fixtures))


def _check_fixture(fixture: object, names: set[str]) -> str:
    """Return the fixture's name. Raise StartError if the fixture is wrong or ``names`` already has its name."""
    if not isinstance(fixture, dict):
        raise StartError("expected an object")
    _refuse_unknown(fixture, _FIXTURE_FIELDS)
    for field in ("name", "path", "method"):
        if not isinstance(fixture.get(field), str):
            raise StartError(f"{field} must be a string")
    if not fixture["path"].startswith("/v1/"):
        raise StartError("path must begin with /v1/")
    if fixture["name"] in names:
        raise StartError(f"an earlier fixture is already named {fixture['name']}")
    if fixture["method"].lower() not in _METHODS:
        raise StartError(f"method must be one of {', '.join(_METHODS)}")
    if not isinstance(fixture.get("params", {}), dict):
        raise StartError("params must be an object")
    return str(fixture["name"])


def _refuse_unknown(given: Json, known: set[str]) -> None:
    for name in sorted(given.keys() - known):
        raise StartError(f"unknown field {name}, expected one of {', '.join(sorted(known))}")


def _unix_time(time: object) -> float | None:
    if time is None or type(time) in (int, float):
        return time  # type: ignore[return-value]  # mypy does not narrow on type()
    try:
        moment = datetime.fromisoformat(str(time))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise StartError("time must be unix seconds or a date and time with an offset such as 2026-11-01T00:00:00Z")
    return moment.timestamp()
