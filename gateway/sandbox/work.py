"""The unit of work of one request, which commits all of its changes and events or none."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from gateway.sandbox import events
from gateway.sandbox.errors import StripeError, missing
from gateway.sandbox.ids import Ids
from gateway.sandbox.json_types import Json
from gateway.sandbox.settings import Settings
from gateway.sandbox.store import Store, Tables

_EVENT_PREFIX = {
    "subscription": "customer.subscription",
    "discount": "customer.discount",
    "tax_id": "customer.tax_id",
}
THIN = "v2.core.event"
"""The kind of thin events. Their deliveries lack the data, which the receiver retrieves."""
_WITH_PREVIOUS = {"payment_method.automatically_updated", "payment_method.detached"}
"""Event types with ``previous_attributes`` besides ``*.updated``, as recorded from Stripe's API, 2026-08-26.dahlia."""


@dataclass
class Work:
    """A set of changes that others see only after ``commit()``. A Work that is dropped leaves no trace."""

    store: Store
    ids: Ids
    now: int
    url: str = ""
    request: Json = field(default_factory=lambda: {"id": None, "idempotency_key": None})
    settings: Settings = field(default_factory=Settings)
    changes: Tables = field(default_factory=dict)
    untold: dict[str, Json] = field(default_factory=dict)
    failure: StripeError | None = None

    def trial(self) -> "Work":
        """Return a copy for a preview, whose changes can be thrown away."""
        copied = {kind: dict(objects) for kind, objects in self.changes.items()}
        return Work(self.store, self.ids, self.now, self.url, self.request, self.settings, copied)

    def find(self, kind: str, object_id: str) -> Json | None:
        """Return the object as this request sees it, or None."""
        changed = self.changes.get(kind, {})
        return changed[object_id] if object_id in changed else self.store.find(kind, object_id)

    def get(self, kind: str, object_id: str, *, param: str | None = "id", status: int = 404) -> Json:
        """Return the object, or raise Stripe's ``No such …``."""
        obj = self.find(kind, object_id)
        if obj is None:
            raise missing(kind, object_id, param=param, status=status)
        return obj

    def select(self, kind: str, customer: str | None = None) -> Iterator[Json]:
        """Yield the objects of a kind, newest first. With ``customer``, yield only those of that customer."""
        changed = self.changes.get(kind, {})
        added = [object_id for object_id in reversed(changed) if self.store.find(kind, object_id) is None]
        for object_id in chain(added, self.store.ids(kind, customer)):
            obj = changed[object_id] if object_id in changed else self.store.find(kind, object_id)
            if obj is not None and customer in (None, obj.get("customer")):
                yield obj

    def add(self, obj: Json, *event_types: str) -> Json:
        """Store a new object and make its events. Without ``event_types`` that is ``*.created``, if Stripe has it."""
        self.keep(obj)
        for event_type in event_types or self._default_events(obj, "created"):
            self.tell(event_type, obj)
        return obj

    def update(self, obj: Json, changes: Json, *event_types: str) -> Json:
        """Replace the object by one with ``changes`` and make its events.

        Without ``event_types`` that is ``*.updated``, if Stripe has it. If nothing differs, make no event.
        """
        new = obj | changes
        before = self.untold.pop(obj["id"], obj)
        if new != obj:
            self.keep(new)
        if new == before:
            return new
        for event_type in event_types or self._default_events(obj, "updated"):
            self.tell(event_type, new, events.previous_attributes(before, new))
        return new

    def amend(self, obj: Json, changes: Json) -> Json:
        """Replace the object by one with ``changes`` and make no event.

        The next ``update()`` of the object in this Work reports these changes too.
        """
        new = obj | changes
        self.untold.setdefault(obj["id"], obj)
        self.keep(new)
        return new

    def remove(self, obj: Json) -> Json:
        """Remove the object and return the stub to answer. Its event carries the full last state."""
        self.changes.setdefault(obj["object"], {})[obj["id"]] = None
        for event_type in self._default_events(obj, "deleted"):
            self.tell(event_type, obj)
        stub = {"id": obj["id"], "object": obj["object"], "deleted": True}
        self.note("deleted", obj["id"], stub)
        return stub

    def note(self, kind: str, note_id: str, value: Json) -> None:
        """Store something that Stripe knows about an object and does not show."""
        self.changes.setdefault(f"_{kind}", {})[note_id] = value

    def recall(self, kind: str, note_id: str) -> Json | None:
        """Return what ``note()`` stored, or None."""
        return self.find(f"_{kind}", note_id)

    def fail(self, error: StripeError) -> None:
        """Answer this error but keep the changes. A declined payment is an error, yet the attempt counts."""
        self.failure = error

    def new_events(self) -> list[Json]:
        """Return the events of this request, oldest first."""
        snapshots = [event for event in self.changes.get("event", {}).values() if event is not None]
        thin = [event for event in self.changes.get(THIN, {}).values() if event is not None]
        return snapshots + [{name: event[name] for name in event.keys() - {"changes", "data"}} for event in thin]

    def commit(self) -> None:
        """Write all changes to the store."""
        self.store.commit(self.changes)

    def keep(self, obj: Json) -> None:
        """Store the object and make no event."""
        self.changes.setdefault(obj["object"], {})[obj["id"]] = obj

    def _default_events(self, obj: Json, verb: str) -> tuple[str, ...]:
        event_type = f"{_EVENT_PREFIX.get(obj['object'], obj['object'])}.{verb}"
        return (event_type,) if event_type in events.TYPES else ()

    def tell(self, event_type: str, obj: Json, previous: Json | None = None) -> None:
        """Make an event with the object in its current state."""
        with_previous = event_type.endswith(".updated") or event_type in _WITH_PREVIOUS
        endpoints = sum(events.is_subscribed(endpoint, event_type) for endpoint in self.select("webhook_endpoint"))
        event = events.event(
            event_id=self.ids.new("evt"),
            created=self.now,
            event_type=event_type,
            obj=obj,
            previous=previous if with_previous else None,
            request=self.request,
            endpoints=endpoints,
        )
        self.keep(event)
