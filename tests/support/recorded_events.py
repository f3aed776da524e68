"""The recorded events, and the same with a difference."""

import copy
import json
from collections.abc import Mapping
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
    """The event as it was delivered."""
    found: Json = json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def handle(event: Json) -> Snapshot:
    """What the handler of its type makes of it."""
    (snapshot,) = HANDLERS[event["type"]](Event.from_json(event))
    assert isinstance(snapshot, Snapshot)
    return snapshot


def references(event: Json) -> list[Reference]:
    """What the handler of its type wants to have looked up."""
    found = HANDLERS[event["type"]](Event.from_json(event))
    return [each for each in found if isinstance(each, Reference)]


def told(name: str) -> Snapshot:
    """What the recorded event says."""
    return handle(payload(name))


def changed(name: str, changes: Mapping[str, object]) -> Json:
    """The recorded event with other values in its object, under dotted paths; ABSENT takes a member away."""
    event = copy.deepcopy(payload(name))
    for path, value in changes.items():
        *parents, last = path.split(".")
        place: Any = event["data"]["object"]
        for each in parents:
            place = place[int(each) if isinstance(place, list) else each]
        if value is ABSENT:
            del place[last]
        else:
            place[last] = value
    return event


def with_change(name: str, changes: Mapping[str, object]) -> Snapshot:
    """What the changed event says."""
    return handle(changed(name, changes))


def seen(as_of: datetime, cause: str, **more: Any) -> Seen:
    """How an event was seen."""
    return Seen(as_of=as_of, source=Source.EVENT, cause=cause, **more)


def same(one: Snapshot, other: Snapshot) -> bool:
    """Equal in every field; ``==`` leaves out those that are no change."""
    return type(one) is type(other) and vars(one) == vars(other)
