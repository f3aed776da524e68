"""The order of states. Any order of arrival, with duplicates and equal seconds, ends in Stripe's state."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.services.mirror.ordering import CLOCK_TOLERANCE, Order, Verdict, decide_order
from tests.support.order_simulation import START, Simulation, Thing, answer, event


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
