"""The order of states. Any order of arrival, with duplicates and equal seconds, ends in Stripe's state."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Thing], list[Thing]]:
    """Draw a walk through few states in few seconds, and its observations in the order in which they arrive."""
    state = draw(st.sampled_from("abcd"))
    seconds = sorted(draw(st.lists(st.integers(0, 3), min_size=1, max_size=6)))
    walk = [event(seconds[0], state, first=True)]
    for second in seconds[1:]:
        following = draw(st.sampled_from(sorted(set("abcd") - {state})))
        walk.append(event(second, following, previous=state))
        state = following
    answers = [answer(int((each.seen.as_of - START).total_seconds()), each.state) for each in walk]
    observed = walk + draw(st.lists(st.sampled_from(walk + answers), max_size=4))
    return walk, draw(st.permutations(observed))


@pytest.mark.parametrize("refresh_immediately", [True, False], ids=["refreshed immediately", "refreshed at the end"])
@settings(max_examples=1000, deadline=None)
@given(history=histories())
def test_any_order_of_arrival_ends_in_stripes_state(
    history: tuple[list[Thing], list[Thing]], *, refresh_immediately: bool
) -> None:
    walk, arrivals = history
    truth = walk[-1]
    order: Order | None = None
    held: str | None = None
    to_refresh = False

    def merge(incoming: Thing) -> bool:
        nonlocal order, held
        verdict, order = decide_order(order, incoming)
        if verdict is Verdict.APPLY:
            held = incoming.state
        return verdict is Verdict.REFRESH

    def refresh() -> None:
        assert order is not None
        seen = replace(truth.seen, source=Source.REFRESH, after_revision=order.revision, previous=None, is_first=False)
        assert not merge(replace(truth, seen=seen))

    for each in arrivals:
        to_refresh |= merge(each)
        if to_refresh and refresh_immediately:
            refresh()
            to_refresh = False
    if to_refresh:
        refresh()
    assert held == truth.state
