"""The order of states. Any order of arrival, with duplicates and equal seconds, ends in Stripe's state."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import ClassVar, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.services.mirror.batch import SLOW_ANSWER
from gateway.services.mirror.ordering import CLOCK_TOLERANCE, Order, Verdict, decide_order
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


def slow_answer(second: int, state: str, took: int) -> Thing:
    quick = answer(second, state)
    return replace(quick, seen=replace(quick.seen, took=timedelta(seconds=took)))


def stored(*history: Thing) -> Order:
    order: Order | None = None
    for each in history:
        _, order = decide_order(order, each)
    assert order is not None
    return order


def verdict(order: Order | None, incoming: Thing) -> Verdict:
    return decide_order(order, incoming)[0]


def test_the_first_state_of_an_object_is_applied() -> None:
    assert verdict(None, event(5, "active")) is Verdict.APPLY


def test_a_newer_second_is_applied_and_an_older_one_is_stale() -> None:
    order = stored(event(5, "active"))
    assert verdict(order, event(6, "past_due")) is Verdict.APPLY
    assert verdict(order, event(4, "past_due")) is Verdict.STALE


def test_an_event_of_the_same_second_that_continues_is_applied() -> None:
    order = stored(event(5, "incomplete", first=True))
    assert verdict(order, event(5, "active", previous="incomplete")) is Verdict.APPLY


def test_created_after_updated_in_the_same_second_is_stale() -> None:
    order = stored(event(5, "active", previous="incomplete"))
    assert verdict(order, event(5, "incomplete", first=True)) is Verdict.NOTE
    assert verdict(stored(answer(5, "active")), event(5, "incomplete", first=True)) is Verdict.STALE


def test_created_and_two_updates_of_one_second_are_applied() -> None:
    order = stored(answer(5, "a"), event(5, "a", first=True), event(5, "b", previous="a"))
    assert verdict(order, event(5, "c", previous="b")) is Verdict.APPLY
    assert verdict(stored(event(4, "x"), answer(5, "a")), event(5, "b", previous="a")) is Verdict.APPLY


def test_an_unconnected_state_of_the_same_second_is_refreshed() -> None:
    assert verdict(stored(event(5, "a", previous="b")), event(5, "d", previous="c")) is Verdict.REFRESH
    assert verdict(stored(event(5, "a")), event(5, "b")) is Verdict.REFRESH


def test_the_same_change_under_another_event_id_is_noted() -> None:
    order = stored(event(5, "incomplete"), event(5, "active", previous="incomplete"))
    assert decide_order(order, event(5, "active", previous="incomplete")) == (Verdict.NOTE, order)


def test_a_final_state_wins_over_a_later_time() -> None:
    assert verdict(stored(event(9, "active")), event(8, "canceled")) is Verdict.APPLY
    assert verdict(stored(event(8, "canceled")), event(9, "active")) is Verdict.STALE


def test_answer_and_event_within_the_tolerance_are_refreshed() -> None:
    assert verdict(stored(answer(5, "a")), event(6, "b", previous="c")) is Verdict.REFRESH
    assert verdict(stored(answer(5, "a")), event(5 + CLOCK_TOLERANCE.seconds + 1, "b", previous="c")) is Verdict.APPLY


def test_a_slow_answer_may_be_older_than_the_stored_state() -> None:
    assert verdict(stored(event(5, "b")), slow_answer(10, "a", took=1)) is Verdict.APPLY
    assert verdict(stored(event(5, "b")), slow_answer(10, "a", took=4)) is Verdict.REFRESH


def test_an_answer_after_the_stored_revision_is_newer() -> None:
    order = stored(event(5, "a"))
    assert verdict(order, answer(5, "b", after_revision=order.revision)) is Verdict.APPLY
    assert verdict(order, answer(5, "b", after_revision=order.revision - 1)) is Verdict.REFRESH


def test_an_answer_corrects_a_stored_time_in_the_future() -> None:
    order = stored(event(3600, "a"))
    applied, order = decide_order(order, answer(9, "b", after_revision=order.revision))
    assert (applied, order.as_of) == (Verdict.APPLY, START + timedelta(seconds=9))
    assert verdict(order, event(12, "c", previous="b")) is Verdict.APPLY


def test_a_difference_within_the_tolerance_sets_no_time_back() -> None:
    order = stored(event(9 + CLOCK_TOLERANCE.seconds, "a"))
    _, order = decide_order(order, answer(9, "b", after_revision=order.revision))
    assert order.as_of == START + timedelta(seconds=9) + CLOCK_TOLERANCE


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


CHANGE, WAIT, DELIVER, REPEAT, CALL, ANSWER, RECEIVE = (
    Simulation.change,
    Simulation.wait,
    Simulation.deliver,
    Simulation.deliver_again,
    Simulation.call,
    Simulation.answer,
    Simulation.receive,
)
ACTIONS = st.sampled_from([CHANGE, CHANGE, DELIVER, DELIVER, WAIT, REPEAT, CALL, ANSWER, RECEIVE])
Steps = list[tuple[Callable[[Simulation, int], None], int]]
REFRESH: Steps = [(CALL, 1), (ANSWER, 0), (RECEIVE, 0)]
FOUND: Mapping[str, tuple[int, Steps]] = {  # by what once went wrong
    "an old event continues a recurring state": (
        0,
        [(CHANGE, 1), (CHANGE, 1), (CHANGE, 2), (CHANGE, 0), (DELIVER, 3), (DELIVER, 3)],
    ),
    "an old event continues the first known state": (
        0,
        [
            (CHANGE, 0),
            (CHANGE, 1),
            (CHANGE, 2),
            (CALL, 0),
            (ANSWER, 0),
            (RECEIVE, 0),
            (CHANGE, 1),
            *REFRESH,
            (DELIVER, 2),
        ],
    ),
    "an old event continues a refreshed state": (
        0,
        [
            (DELIVER, 0),
            (WAIT, 2),
            *[(CHANGE, pick) for pick in (0, 1, 0, 2, 0)],
            (DELIVER, 3),
            *REFRESH,
            (DELIVER, 0),
        ],
    ),
    "an event of a recurring state comes before the answer": (
        0,
        [(CHANGE, 2), (CHANGE, 0), (DELIVER, 1), (CALL, 1), (CHANGE, 2), (DELIVER, 2)],
    ),
    "an event of a known change comes before the answer": (
        0,
        [(CHANGE, 0), (CHANGE, 2), (CHANGE, 0), (DELIVER, 2), (DELIVER, 0), (CALL, 1), (CHANGE, 0), (DELIVER, 2)],
    ),
    "an event of an unknown change comes before the answer": (
        0,
        [(CHANGE, 2), (DELIVER, 1), (CHANGE, 1), (CALL, 0), (CHANGE, 2), (DELIVER, 2)],
    ),
    "two states without a place look like neighbours": (
        0,
        [
            (DELIVER, 0),
            (CHANGE, 1),
            (CHANGE, 1),
            (DELIVER, 1),
            (DELIVER, 0),
            (CHANGE, 2),
            (DELIVER, 0),
            (CALL, 1),
            (CHANGE, 2),
        ],
    ),
    "another answer comes before the refresh": (
        0,
        [(CHANGE, 1), (DELIVER, 1), (CALL, 0), (CHANGE, 0), (DELIVER, 1), (CALL, 1)],
    ),
    "the clock of answers is ahead": (-1, [(CALL, 1), (CHANGE, 0)]),
}


@pytest.mark.parametrize("found", FOUND)
def test_a_schedule_that_failed_once_ends_in_order(found: str) -> None:
    skew, steps = FOUND[found]
    check(Simulation(skew), steps)


@pytest.mark.parametrize("examples", [500, pytest.param(50_000, marks=pytest.mark.long)])
def test_no_schedule_takes_a_state_back_or_loses_the_last(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(skew=st.integers(-1, 1), steps=st.lists(st.tuples(ACTIONS, st.integers(0, 11)), max_size=25))
    def search(skew: int, steps: Steps) -> None:
        check(Simulation(skew), steps)

    search()


def check(run: Simulation, steps: Steps) -> None:
    """Check that the mirror ends with the last state, after states in the order in which Stripe had them."""
    for action, pick in steps:
        action(run, pick)
    run.settle()
    assert run.applied[-1] == run.walk[-1].state
    remaining = iter([each.state for each in run.walk])
    assert all(state in remaining for state, _ in groupby(run.applied)), f"{run.applied} of {run.walk}"
