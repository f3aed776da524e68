"""The sandbox's state.

The store never changes an object in place. A change stores a new dict and leaves the old one intact. So the snapshot
in an event is the object itself, and undoing a failed request needs no copies. A preview is a change that is never
committed.
"""

from collections import defaultdict
from collections.abc import Iterator

from gateway.sandbox.json_types import Json
from gateway.sandbox.search_index import SearchIndex

Tables = dict[str, dict[str, Json | None]]
"""Kind (Stripe's ``object``) → id → object. None marks an object that a request removed."""


class Store:
    """Committed objects by kind and id, in order of creation, with an index by customer."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[str, Json]] = defaultdict(dict)
        self._of_customer: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        self._positions: dict[str, int] = {}
        self._kinds: dict[str, str] = {}
        self.searchable = SearchIndex()

    def find(self, kind: str, object_id: str) -> Json | None:
        """Return the object, or None."""
        return self._objects[kind].get(object_id)

    def named(self, object_id: str) -> Json | None:
        """Return the object of any kind with this id, or None."""
        return self.find(self._kinds.get(object_id, ""), object_id)

    def recall(self, kind: str, note_id: str) -> Json | None:
        """Return a note, which is something that Stripe knows about an object and does not show, or None."""
        return self.find(f"_{kind}", note_id)

    def ids(self, kind: str, customer: str | None = None) -> Iterator[str]:
        """Return the ids of a kind, newest first. With ``customer``, return only the ids of that customer."""
        if customer is None:
            return reversed(self._objects[kind])
        return iter(sorted(self._of_customer[kind, customer], key=self._positions.__getitem__, reverse=True))

    def position(self, object_id: str) -> int | None:
        """Return the position of a list cursor. Deleted objects keep theirs, as recorded from Stripe's API."""
        return self._positions.get(object_id)

    def copy(self) -> Tables:
        """Return all objects. Nothing changes them later."""
        return {kind: dict(objects) for kind, objects in self._objects.items()}

    def commit(self, changes: Tables) -> None:
        """Apply all changes of one request."""
        self.searchable.watch(changes.get("customer", {}))
        for kind, objects in changes.items():
            for object_id, obj in objects.items():
                self._replace(kind, object_id, obj)

    def _replace(self, kind: str, object_id: str, obj: Json | None) -> None:
        old = self._objects[kind].get(object_id)
        if old is not None and old.get("customer"):
            self._of_customer[kind, old["customer"]].pop(object_id, None)
        if obj is None:
            self._objects[kind].pop(object_id, None)
            return
        self._objects[kind][object_id] = obj
        if not kind.startswith("_"):  # a note shares its object's id
            self._positions.setdefault(object_id, len(self._positions))
            self._kinds[object_id] = kind
        if obj.get("customer"):
            self._of_customer[kind, obj["customer"]][object_id] = None
