"""What the sandbox remembers.

An object in the store is never changed in place: a change puts a new dict beside the old one. So the snapshot in an
event is the object itself, nothing has to be copied to undo a failed request, and a preview is a change that is never
committed.
"""

from collections import defaultdict
from collections.abc import Iterator

from gateway.sandbox.json_types import Json

Tables = dict[str, dict[str, Json | None]]
"""Kind (Stripe's ``object``) → id → object; None marks one that a request removed."""


class Store:
    """Committed objects by kind and id, in order of creation, with an index by customer."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[str, Json]] = defaultdict(dict)
        self._of_customer: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        self._positions: dict[str, int] = {}
        self._kinds: dict[str, str] = {}

    def find(self, kind: str, object_id: str) -> Json | None:
        """The object, or None."""
        return self._objects[kind].get(object_id)

    def named(self, object_id: str) -> Json | None:
        """The object of this id, of whatever kind, or None."""
        return self.find(self._kinds.get(object_id, ""), object_id)

    def recall(self, kind: str, note_id: str) -> Json | None:
        """A note: what Stripe knows about an object and shows nowhere."""
        return self.find(f"_{kind}", note_id)

    def ids(self, kind: str, customer: str | None = None) -> Iterator[str]:
        """The ids of a kind, newest first; of one customer only, if given."""
        if customer is None:
            return reversed(self._objects[kind])
        return iter(sorted(self._of_customer[kind, customer], key=self._positions.__getitem__, reverse=True))

    def position(self, object_id: str) -> int | None:
        """Where a list cursor stands; deleted objects keep their place, as recorded from Stripe's API."""
        return self._positions.get(object_id)

    def commit(self, changes: Tables) -> None:
        """Take over all changes of one request."""
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
