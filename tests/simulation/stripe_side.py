"""The local Stripe without its threads. Its events wait in a list until somebody delivers them."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import stripe
from flask import Blueprint

from gateway.sandbox.engine import Engine
from gateway.sandbox.faults import Faults
from gateway.sandbox.ids import Ids
from gateway.sandbox.search_index import SearchIndex
from gateway.sandbox.settings import Settings
from gateway.sandbox.store import Store
from gateway.sandbox.web import create_app
from tests.simulation.one_clock import OneClock
from tests.simulation.wire import STRIPE, StripeWire
from tests.support.json_types import Json


@dataclass
class StripeSide:
    """Stripe, and an SDK for everybody who is not the gateway."""

    clock: OneClock
    random: Random
    settings: Settings
    events: list[Json] = field(default_factory=list)
    """All events, oldest first."""

    def __post_init__(self) -> None:
        store = Store()
        store.searchable = SearchIndex(now=self.clock)
        self.engine = Engine(
            clock=self.clock,
            ids=Ids(self.random.getrandbits(64)),
            deliver=self.events.extend,
            url=STRIPE,
            settings=self.settings,
            store=store,
            faults=Faults(),
            lock=threading.Lock(),
        )
        self.app = create_app(self.engine, Blueprint("control", __name__))
        addresses: Any = dict.fromkeys(("api", "connect", "files", "meter_events"), STRIPE)
        session: Any = self.wire()
        self.client = stripe.StripeClient(
            "sk_test_dashboard",
            base_addresses=addresses,
            max_network_retries=0,
            http_client=stripe.RequestsClient(session=session),
        )
        self.v1 = self.client.v1

    def wire(self) -> StripeWire:
        """Return a new connection to Stripe, on which nothing fails."""
        return StripeWire(self.app, self.engine, self.clock, self.random)

    def let_time_pass(self) -> None:
        """Do what has fallen due at Stripe."""
        self.engine.let_time_pass()

    def next_due(self) -> float | None:
        """Return when something may fall due, or None."""
        timeline = self.engine.time._timeline._heaps[None]  # noqa: SLF001 - the sandbox itself never looks ahead
        return timeline[0][0] if timeline else None

    def list_all(self, kind: str, customer: str | None = None) -> Iterator[Json]:
        """Yield the objects of a kind, newest first."""
        for number in list(self.engine.store.ids(kind, customer)):
            found = self.engine.store.find(kind, number)
            if found is not None:
                yield found

    def list_lines(self, invoice: str) -> list[Json]:
        """Return all lines of an invoice. The invoice itself shows ten."""
        return self._recall("lines", invoice, "data")

    def list_tiers(self, price: Json) -> list[Json]:
        """Return the tiers of a price, which it does not show."""
        return self._recall("tiers", price["id"], "tiers")

    def _recall(self, kind: str, number: str, name: str) -> list[Json]:
        found: list[Json] = (self.engine.store.recall(kind, number) or {name: []})[name]
        return found
