"""The way from an event to its deliveries, subject to the requested faults."""

import threading
from collections.abc import Sequence
from itertools import chain

from gateway.sandbox.errors import missing
from gateway.sandbox.events import wants
from gateway.sandbox.faults import WEBHOOKS, Fault, Faults
from gateway.sandbox.ids import Ids
from gateway.sandbox.json_types import Json
from gateway.sandbox.store import Store
from gateway.sandbox.webhooks import Deliverer, Message


class Outbox:
    """Events to deliver and events that faults hold back.

    ``lock`` guards the store. Callers of the public methods must hold it.
    """

    def __init__(
        self, *, store: Store, ids: Ids, faults: Faults, lock: threading.Lock, retry_delays: Sequence[float]
    ) -> None:
        self._store = store
        self._ids = ids
        self._faults = faults
        self._lock = lock
        self._held: dict[int, tuple[Fault, list[list[Message]]]] = {}
        self._taken: set[tuple[str, str]] = set()
        self.deliverer = Deliverer(retry_delays=retry_delays, delivered=self._count)

    def send(self, events: list[Json]) -> None:
        """Deliver events to their subscribed endpoints. An event without such an endpoint uses up no fault."""
        for event in events:
            messages = self._messages(event)
            if messages:
                self._post(event, messages, self._faults.take(WEBHOOKS, event=event["type"]))

    def resend(self, event_id: str) -> list[str]:
        """Deliver an event again to all its subscribed endpoints, ignoring faults. Return their URLs."""
        event = self._store.find("event", event_id)
        if event is None:
            raise missing("event", event_id)
        messages = self._messages(event)
        self.deliverer.put(messages)
        return [message.url for message in messages]

    def release(self) -> None:
        """Deliver all held-back and delayed events immediately."""
        for fault, parcels in self._held.values():
            self._let_go(fault, parcels)
        self._held.clear()
        self.deliverer.hurry()

    def _messages(self, event: Json) -> list[Message]:
        messages = []
        for endpoint_id in self._store.ids("webhook_endpoint"):
            endpoint = self._store.find("webhook_endpoint", endpoint_id)
            secret = self._store.recall("secret", endpoint_id)
            if endpoint and secret and wants(endpoint, event["type"]):
                messages.append(Message(event, endpoint_id, endpoint["url"], secret["secret"]))
        return messages

    def _post(self, event: Json, messages: list[Message], fault: Fault | None) -> None:
        if fault is None:
            self.deliverer.put(messages)
        elif fault.kind == "webhook_duplicated":
            self.deliverer.put([*messages, *messages])
        elif fault.kind == "webhook_duplicated_under_new_id":
            self.deliverer.put([*messages, *self._messages(self._twin(event))])
        elif fault.kind == "webhook_delayed":
            self.deliverer.put(messages, after=fault.fields["seconds"])
        elif fault.kind in ("webhook_reordered", "webhook_burst"):
            self._hold(fault, messages)
        # The remaining kind drops the event. The API still lists the event, and it stays pending.

    def _twin(self, event: Json) -> Json:
        """Store a second event for the same change (https://docs.stripe.com/webhooks#handle-duplicate-events)."""
        twin = event | {"id": self._ids.new("evt")}
        self._store.commit({"event": {twin["id"]: twin}})
        return twin

    def _hold(self, fault: Fault, messages: list[Message]) -> None:
        parcels = self._held.setdefault(id(fault), (fault, []))[1]
        parcels.append(messages)
        if fault.held == 0:  # the group is complete
            self._let_go(fault, parcels)
            del self._held[id(fault)]

    def _let_go(self, fault: Fault, parcels: list[list[Message]]) -> None:
        if fault.kind == "webhook_burst":
            self.deliverer.put(chain.from_iterable(parcels))
            return
        of_endpoint: dict[str, list[Message]] = {}
        for message in chain.from_iterable(reversed(parcels)):
            of_endpoint.setdefault(message.endpoint, []).append(message)
        for messages in of_endpoint.values():
            self.deliverer.put_in_turn(messages)

    def _count(self, message: Message) -> None:
        """Count an event as accepted by an endpoint. Repeated deliveries to the endpoint count once."""
        event_id = message.event["id"]
        with self._lock:
            event = self._store.find("event", event_id)
            if event and event["pending_webhooks"] and (event_id, message.endpoint) not in self._taken:
                self._taken.add((event_id, message.endpoint))
                counted = event | {"pending_webhooks": event["pending_webhooks"] - 1}
                self._store.commit({"event": {event_id: counted}})
