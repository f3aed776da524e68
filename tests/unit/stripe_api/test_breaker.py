"""The breaker, with a clock that only the tests move."""

import pytest
from structlog.testing import capture_logs

from gateway.errors import StripeNotCalled
from gateway.stripe_api.breaker import PAUSE, Breaker, Outcome
from tests.support.monotonic import MonotonicClock


@pytest.fixture
def clock() -> MonotonicClock:
    return MonotonicClock()


@pytest.fixture
def breaker(clock: MonotonicClock) -> Breaker:
    return Breaker(clock)


def end_calls(breaker: Breaker, *outcomes: Outcome | None) -> None:
    for outcome in outcomes:
        breaker.leave(breaker.enter(), outcome)


def is_open(breaker: Breaker) -> bool:
    try:
        breaker.refuse_if_open()
    except StripeNotCalled:
        return True
    return False


def opened(breaker: Breaker) -> Breaker:
    end_calls(breaker, *[Outcome.SILENT] * 5)
    assert is_open(breaker)
    return breaker


def test_five_silent_calls_in_a_row_open_it(breaker: Breaker) -> None:
    end_calls(breaker, *[Outcome.SILENT] * 4)
    assert not is_open(breaker)
    end_calls(breaker, Outcome.SILENT)
    assert is_open(breaker)


def test_an_answer_between_silent_calls_keeps_it_closed(breaker: Breaker) -> None:
    for _ in range(10):
        end_calls(breaker, *[Outcome.SILENT] * 4, Outcome.ANSWERED)
    assert not is_open(breaker)


def test_only_many_failures_in_a_row_open_it(breaker: Breaker) -> None:
    end_calls(breaker, *[Outcome.FAILED] * 19)
    assert not is_open(breaker)
    end_calls(breaker, Outcome.FAILED)
    assert is_open(breaker)


def test_failures_of_our_own_say_nothing(breaker: Breaker) -> None:
    end_calls(breaker, *[None] * 100)
    assert not is_open(breaker)


def test_an_open_breaker_refuses_and_says_when_it_probes(breaker: Breaker, clock: MonotonicClock) -> None:
    opened(breaker)
    clock.now += 1.5
    with pytest.raises(StripeNotCalled) as refused:
        breaker.enter()
    assert refused.value.headers == {"Retry-After": "4"}


def test_one_call_probes_after_the_pause(breaker: Breaker, clock: MonotonicClock) -> None:
    opened(breaker)
    clock.now += PAUSE
    assert not is_open(breaker)
    probe = breaker.enter()
    for _ in range(3):
        with pytest.raises(StripeNotCalled):
            breaker.enter()
    breaker.leave(probe, Outcome.ANSWERED)
    end_calls(breaker, *[Outcome.SILENT] * 4)
    assert not is_open(breaker)


@pytest.mark.parametrize("outcome", [Outcome.SILENT, Outcome.FAILED])
def test_a_probe_that_fails_begins_the_next_pause(breaker: Breaker, clock: MonotonicClock, outcome: Outcome) -> None:
    opened(breaker)
    clock.now += PAUSE
    probe = breaker.enter()
    clock.now += 10
    breaker.leave(probe, outcome)
    clock.now += PAUSE - 0.1
    assert is_open(breaker)
    clock.now += 0.1
    assert not is_open(breaker)


def test_a_probe_that_was_not_sent_leaves_the_next_call_to_probe(breaker: Breaker, clock: MonotonicClock) -> None:
    opened(breaker)
    clock.now += PAUSE
    breaker.leave(breaker.enter(), None)
    breaker.leave(breaker.enter(), Outcome.ANSWERED)
    assert not is_open(breaker)


def test_calls_from_before_it_opened_change_nothing(breaker: Breaker, clock: MonotonicClock) -> None:
    late = [breaker.enter() for _ in range(40)]
    opened(breaker)
    breaker.leave(late.pop(), Outcome.ANSWERED)
    assert is_open(breaker)
    clock.now += PAUSE
    probe = breaker.enter()
    breaker.leave(late.pop(), Outcome.ANSWERED)
    assert is_open(breaker)
    breaker.leave(probe, Outcome.ANSWERED)
    for episode in late:
        breaker.leave(episode, Outcome.SILENT)
    assert not is_open(breaker)


def test_transitions_are_logged_once(breaker: Breaker, clock: MonotonicClock) -> None:
    with capture_logs() as logs:
        opened(breaker)
        for _ in range(3):
            assert is_open(breaker)
            clock.now += PAUSE
            end_calls(breaker, Outcome.SILENT)
        clock.now += PAUSE
        end_calls(breaker, Outcome.ANSWERED)
    assert [(each["event"], each.get("seconds")) for each in logs] == [
        ("stripe_breaker_opened", None),
        ("stripe_breaker_closed", 4 * PAUSE),
    ]


def test_each_pause_is_announced(clock: MonotonicClock) -> None:
    pauses: list[float] = []
    breaker = Breaker(clock, pauses.append)
    opened(breaker)
    clock.now += PAUSE
    end_calls(breaker, Outcome.SILENT)
    assert pauses == [PAUSE, PAUSE]
