"""Reads the recorded events and makes copies with other values."""

import copy
import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.stripe_api.snapshots import Event, Reference, Seen, Snapshot, Source
from handlers import HANDLERS
from tests.support.json_types import Json

PAYLOADS = Path(__file__).parents[1] / "unit/handlers/payloads"
ABSENT = object()

CUSTOMER = "cus_kmoMXDWwgyVDfi"
SUBSCRIPTION = "sub_1W1sHmK3iPuNwiMvlW33EgIc"
ENROLLED = datetime(2026, 11, 1, 0, 2, tzinfo=UTC)
BILLING_DATE = datetime(2026, 12, 1, 0, 2, tzinfo=UTC)


def payload(name: str) -> Json:
    """Return the recorded event as Stripe would deliver it."""
    found: Json = json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def handle(event: Json) -> Snapshot:
    """Return the snapshot that the event's handler returns."""
    found = HANDLERS[event["type"]](Event.from_json(event))
    (snapshot,) = [each for each in found if isinstance(each, Snapshot)]
    return snapshot


def references(event: Json) -> list[Reference]:
    """Return the references that the event's handler returns."""
    found = HANDLERS[event["type"]](Event.from_json(event))
    return [each for each in found if isinstance(each, Reference)]


def recorded_snapshot(name: str) -> Snapshot:
    """Return the snapshot in the recorded event."""
    return handle(payload(name))


def changed(name: str, changes: Mapping[str, object]) -> Json:
    """Return the recorded event with other values at dotted paths in its object. ABSENT removes a member."""
    event = copy.deepcopy(payload(name))
    for path, value in changes.items():
        *parents, last = path.split(".")
        parent: Any = event["data"]["object"]
        for each in parents:
            parent = parent[int(each) if isinstance(parent, list) else each]
        if value is ABSENT:
            del parent[last]
        else:
            parent[last] = value
    return event


def with_change(name: str, changes: Mapping[str, object]) -> Snapshot:
    """Return the snapshot in the recorded event with ``changes``."""
    return handle(changed(name, changes))


def seen(as_of: datetime, cause: str, **more: Any) -> Seen:
    """Return the origin of a state that came in an event."""
    return Seen(as_of=as_of, source=Source.EVENT, cause=cause, **more)


def same(one: Snapshot, other: Snapshot) -> bool:
    """Return whether all fields are equal. ``==`` ignores the fields that do not count as a change."""
    return type(one) is type(other) and all(getattr(one, f.name) == getattr(other, f.name) for f in fields(one))
