"""Send each event to its endpoints, subject to the requested faults."""

import threading
from collections.abc import Callable, Sequence
from itertools import chain

from gateway.sandbox.errors import missing
from gateway.sandbox.events import is_subscribed
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
        self,
        *,
        store: Store,
        ids: Ids,
        faults: Faults,
        lock: threading.Lock,
        retry_delays: Sequence[float],
        signing_clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._ids = ids
        self._faults = faults
        self._lock = lock
        self._held: dict[int, tuple[Fault, list[list[Message]]]] = {}
        self._accepted: set[tuple[str, str]] = set()
        self.deliverer = Deliverer(retry_delays=retry_delays, delivered=self._count_delivery, clock=signing_clock)

    def send(self, events: list[Json]) -> None:
        """Deliver events to their subscribed endpoints. An event without such an endpoint uses up no fault."""
        for event in events:
            messages = self._messages(event)
            if messages:
                self._deliver(event, messages, self._faults.take(WEBHOOKS, event=event["type"]))

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
        for fault, groups in self._held.values():
            self._deliver_held(fault, groups)
        self._held.clear()
        self.deliverer.hurry()

    def _messages(self, event: Json) -> list[Message]:
        messages = []
        for endpoint_id in self._store.ids("webhook_endpoint"):
            endpoint = self._store.find("webhook_endpoint", endpoint_id)
            secret = self._store.recall("secret", endpoint_id)
            if endpoint and secret and is_subscribed(endpoint, event["type"]):
                messages.append(Message(event, endpoint_id, endpoint["url"], secret["secret"]))
        return messages

    def _deliver(self, event: Json, messages: list[Message], fault: Fault | None) -> None:
        if fault is None:
            self.deliverer.put(messages)
        elif fault.kind == "webhook_duplicated":
            self.deliverer.put([*messages, *messages])
        elif fault.kind == "webhook_duplicated_under_new_id":
            self.deliverer.put([*messages, *self._messages(self._store_duplicate(event))])
        elif fault.kind == "webhook_delayed":
            self.deliverer.put(messages, after=fault.fields["seconds"])
        elif fault.kind in ("webhook_reordered", "webhook_burst"):
            self._hold(fault, messages)
        # The remaining kind drops the event. The API still lists the event, and it stays pending.

    def _store_duplicate(self, event: Json) -> Json:
        """Store a second event for the same change (https://docs.stripe.com/webhooks#handle-duplicate-events)."""
        duplicate = event | {"id": self._ids.new("evt")}
        self._store.commit({"event": {duplicate["id"]: duplicate}})
        return duplicate

    def _hold(self, fault: Fault, messages: list[Message]) -> None:
        groups = self._held.setdefault(id(fault), (fault, []))[1]
        groups.append(messages)
        if fault.held == 0:  # the group is complete
            self._deliver_held(fault, groups)
            del self._held[id(fault)]

    def _deliver_held(self, fault: Fault, groups: list[list[Message]]) -> None:
        if fault.kind == "webhook_burst":
            self.deliverer.put(chain.from_iterable(groups))
            return
        of_endpoint: dict[str, list[Message]] = {}
        for message in chain.from_iterable(reversed(groups)):
            of_endpoint.setdefault(message.endpoint, []).append(message)
        for messages in of_endpoint.values():
            self.deliverer.put_in_turn(messages)

    def _count_delivery(self, message: Message) -> None:
        """Count an event as accepted by an endpoint. Repeated deliveries to the endpoint count once."""
        event_id = message.event["id"]
        with self._lock:
            event = self._store.find("event", event_id)
            if event and event["pending_webhooks"] and (event_id, message.endpoint) not in self._accepted:
                self._accepted.add((event_id, message.endpoint))
                counted = event | {"pending_webhooks": event["pending_webhooks"] - 1}
                self._store.commit({"event": {event_id: counted}})
