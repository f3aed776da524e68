"""Folds the events into the current state of each object and the history of all its states."""

from dataclasses import dataclass, field

from tests.support.json_types import Json


@dataclass(frozen=True)
class ObjectChange:
    """A change of an object according to an event.

    ``before`` is None for a new object. ``request`` is None if the passing of time caused the change.
    """

    before: Json | None
    after: Json
    at: int
    request: str | None
    deleted: bool = False


@dataclass
class History:
    """Events folded in order. ``data.object`` replaces the known state, and ``*.deleted`` removes it."""

    known: dict[str, Json] = field(default_factory=dict)
    changes: list[ObjectChange] = field(default_factory=list)
    latest: str = ""
    _before: dict[str, Json | None] = field(default_factory=dict)

    def hear(self, events: list[Json]) -> None:
        for event in events:
            self._fold(event)
            self.latest = event["id"]

    def _fold(self, event: Json) -> None:
        obj = event["data"]["object"]
        if event["type"] == "invoice.upcoming":  # it announces an object that does not exist yet
            return
        object_id, known = obj["id"], self.known.get(obj["id"])
        if known is None or not same(known, obj):
            self._before[object_id] = known
            self.changes.append(ObjectChange(known, obj, event["created"], event["request"]["id"]))
            self.known[object_id] = obj
        if "previous_attributes" in event["data"]:
            self._check_previous(event)
        if (
            event["type"].endswith(".deleted") and obj["object"] != "subscription"
        ):  # a canceled subscription still exists
            self.changes.append(ObjectChange(known, obj, event["created"], event["request"]["id"], deleted=True))
            del self.known[object_id]

    def _check_previous(self, event: Json) -> None:
        """Check the previous state. Several events may report one change, and the first has its ``before``."""
        obj = event["data"]["object"]
        before = self._before[obj["id"]]
        if before is None:  # the object's first event, so the previous state is unknown
            return
        undone = _undone(obj, event["data"]["previous_attributes"])
        assert same(undone, before), f"{event['type']} of {obj['id']} does not lead back: {undone} is not {before}"


def _undone(obj: Json, previous: Json) -> Json:
    """Return the previous state, from the state after the change and ``previous_attributes``."""
    result = dict(obj)
    for key, old in previous.items():
        now = result.get(key)
        result[key] = _undone(now, old) if isinstance(now, dict) and isinstance(old, dict) else old
    return result


def same(one: object, other: object) -> bool:
    """Return whether both are equal. A missing key counts as null, as ``previous_attributes`` shows an added key."""
    return _without_nulls(one) == _without_nulls(other)


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nulls(child) for key, child in value.items() if child is not None}
    return [_without_nulls(child) for child in value] if isinstance(value, list) else value
