"""One object at Stripe, its mirror, and the events and answers between them, for the tests of the order."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Self

from gateway.services.mirror.batch import SLOW_ANSWER
from gateway.services.mirror.ordering import Order, Verdict, decide_order
from gateway.stripe_api.events import JsonObject
from gateway.stripe_api.snapshots import Seen, Snapshot, Source

START = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Thing(Snapshot):
    kind: ClassVar[str] = "thing"

    state: str

    @property
    def rank(self) -> int:
        return int(self.state == "canceled")

    @classmethod
    def read(cls, stripe_object: JsonObject, seen: Seen) -> Self:
        return cls(id="thing_1", state=stripe_object["state"], seen=seen)


def event(second: int, state: str, *, previous: str | None = None, first: bool = False) -> Thing:
    seen = Seen(as_of=START + timedelta(seconds=second), source=Source.EVENT, cause="evt", is_first=first)
    if previous is not None:
        seen = replace(seen, previous=Thing.read({"state": previous}, seen).digest)
    return Thing.read({"state": state}, seen)


def answer(second: int, state: str, *, after_revision: int | None = None) -> Thing:
    seen = Seen(as_of=START + timedelta(seconds=second), source=Source.ANSWER, cause="x", after_revision=after_revision)
    return Thing.read({"state": state}, seen)


@dataclass
class Call:
    """A call to Stripe."""

    source: Source
    began: int
    after_revision: int | None
    shows_since: int
    """The position of the state that was current when the call began."""


@dataclass
class Simulation:
    """One object at Stripe, its mirror, and the events and answers between them."""

    skew: int
    """How many seconds the clock of Stripe's events is ahead of that of its answers."""
    now: int = 10
    walk: list[Thing] = field(init=False)
    """The events of all changes so far, each with the state after it."""
    on_their_way: list[Thing] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    answers: list[Thing] = field(default_factory=list)
    order: Order | None = None
    applied: list[str] = field(default_factory=list)
    wants_refresh: bool = False

    def __post_init__(self) -> None:
        self.walk = [event(self.now + self.skew, "a", first=True)]
        self.on_their_way += self.walk

    def change(self, pick: int) -> None:
        previous = self.walk[-1].state
        state = sorted(set("abcd") - {previous})[pick % 3]
        self.walk.append(event(self.now + self.skew, state, previous=previous))
        self.on_their_way.append(self.walk[-1])

    def wait(self, pick: int) -> None:
        self.now += 1 + pick % 4

    def deliver(self, pick: int) -> None:
        if self.on_their_way:
            self.merge(self.on_their_way.pop(pick % len(self.on_their_way)))

    def deliver_again(self, pick: int) -> None:
        self.merge(self.walk[pick % len(self.walk)])

    def call(self, pick: int) -> None:
        """Begin a call. Only one refresh of an object runs at a time."""
        source = (Source.ANSWER, Source.REFRESH)[pick % 2]
        if source is Source.REFRESH:
            if any(each.source is source for each in self.calls) or any(
                each.seen.source is source for each in self.answers
            ):
                return
            self.wants_refresh = False
        revision = self.order.revision if self.order is not None else None
        self.calls.append(Call(source, self.now, revision, len(self.walk) - 1))

    def answer(self, pick: int) -> None:
        """Let Stripe answer a call with a state that it had since the call began."""
        if self.calls:
            call = self.calls.pop(pick % len(self.calls))
            shown = self.walk[call.shows_since + pick % (len(self.walk) - call.shows_since)]
            seen = answer(self.now, shown.state, after_revision=call.after_revision).seen
            seen = replace(seen, source=call.source, took=timedelta(seconds=self.now - call.began))
            self.answers.append(replace(shown, seen=seen))

    def receive(self, pick: int) -> None:
        if self.answers:
            self.merge(self.answers.pop(pick % len(self.answers)))

    def merge(self, incoming: Thing) -> None:
        verdict, self.order = decide_order(self.order, incoming)
        if verdict in {Verdict.APPLY, Verdict.APPLY_AND_REFRESH}:
            self.applied.append(incoming.state)
        is_slow = incoming.seen.took > SLOW_ANSWER and verdict is not Verdict.STALE
        self.wants_refresh |= verdict in {Verdict.REFRESH, Verdict.APPLY_AND_REFRESH} or is_slow

    def settle(self) -> None:
        """Deliver everything, and refresh the object as long as the merge asks for it."""
        while self.on_their_way or self.calls or self.answers:
            self.deliver(0)
            self.answer(0)
            self.receive(0)
        for _ in range(3):
            if self.wants_refresh:
                self.wait(3)
                self.call(1)
                self.answer(0)
                self.receive(0)
        assert not self.wants_refresh
