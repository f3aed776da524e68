"""Stripe's deliveries. They are lost, doubled, late and out of order, and repeated for days."""

import heapq
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from gateway.sandbox import encoding
from handlers import HANDLERS
from tests.simulation.gateway_side import GatewaySide
from tests.simulation.one_clock import OneClock
from tests.simulation.stripe_side import StripeSide
from tests.support.json_types import Json

RETRIES = (300, 1800, 7200, 18_000, 36_000, 36_000, 36_000, 36_000, 36_000)
"""Seconds between Stripe's attempts, which last three days (https://docs.stripe.com/webhooks#retries)."""
MINUTE, HOUR = 60, 3600


@dataclass
class Network:
    """The deliveries on their way. ``trouble`` is the probability that a new one is lost, doubled or late."""

    stripe: StripeSide
    gateway: GatewaySide
    clock: OneClock
    random: Random
    trouble: float
    known: int = 0
    """How many of Stripe's events were sent off."""
    on_their_way: list[tuple[float, int, int, Json]] = field(default_factory=list)
    """When each delivery arrives, its number, the number of earlier attempts, and its event."""
    sent: int = 0
    done: Counter[str] = field(default_factory=Counter)
    """The deliveries by what happened to them."""

    def send_off(self) -> None:
        """Send off the new events that the gateway subscribes to."""
        for event in self.stripe.events[self.known :]:
            if event["type"] in HANDLERS:
                self._send(event)
        self.known = len(self.stripe.events)

    def _send(self, event: Json) -> None:
        fate = "prompt"
        if self.random.random() < self.trouble:
            fate = self.random.choice(("lost", "doubled", "late", "very late"))
        self.done[fate] += 1
        delay = self.random.choice((1, 1.2, 1.4, 3))
        if fate == "lost":
            return
        if fate == "late":
            delay = self.random.randrange(5, 10 * MINUTE)
        elif fate == "very late":
            delay = self.random.randrange(HOUR, 40 * HOUR)
        elif fate == "doubled":
            self._put(delay + self.random.randrange(10 * MINUTE), 0, event)
        self._put(delay, 0, event)

    def _put(self, delay: float, attempts: int, event: Json) -> None:
        self.sent += 1
        heapq.heappush(self.on_their_way, (self.clock() + delay, self.sent, attempts, event))

    def next_arrival(self) -> float | None:
        """Return when the next delivery arrives, or None."""
        return self.on_their_way[0][0] if self.on_their_way else None

    def deliver(self) -> bool:
        """Deliver everything that arrives now. Return whether there was anything."""
        arrived = False
        while self.on_their_way and self.on_their_way[0][0] <= self.clock():
            arrived = True
            _, _, attempts, event = heapq.heappop(self.on_their_way)
            if not self.gateway.receive(encoding.dump(event)):
                self.done["refused"] += 1
                if attempts < len(RETRIES):
                    self._put(RETRIES[attempts], attempts + 1, event)
        return arrived
