"""The real SDK behind a gate: what it counts, and how long it waits."""

import socket
from dataclasses import dataclass

import pytest

from gateway.errors import NotFound, StripeNotCalled, StripeUnavailable
from gateway.stripe_api.breaker import Breaker
from gateway.stripe_api.client import stripe_call, stripe_client
from gateway.stripe_api.gate import PERSON_WAITS, Gate, Share
from tests.support.monotonic import MonotonicClock
from tests.support.stripe_answers import stripe_that_answers


@dataclass
class LateMeter:
    """Lets each attempt begin when a person has waited for nearly as long as they ever do."""

    clock: MonotonicClock
    attempts: int = 0

    def acquire(self) -> None:
        self.attempts += 1
        self.clock.now += PERSON_WAITS - 0.05

    def limited(self, tries: int) -> bool:  # noqa: ARG002 - the client calls it so
        return False


@pytest.fixture
def clock() -> MonotonicClock:
    return MonotonicClock()


@pytest.fixture
def gate(clock: MonotonicClock) -> Gate:
    return Gate(Breaker(clock), Share(size=1, waiting=0, patience=0), clock)


def ask(url: str, gate: Gate, meter: LateMeter | None = None) -> None:
    with stripe_call():
        stripe_client("sk_test_unit", url, meter, gate).v1.customers.retrieve("cus_1")


def test_answers_5xx_open_the_breaker_before_the_next_request(gate: Gate) -> None:
    with stripe_that_answers(500, {"error": {"type": "api_error", "message": "Oops"}}) as (url, seen):
        for _ in range(20):
            with pytest.raises(StripeUnavailable) as failed:
                ask(url, gate)
            assert type(failed.value) is StripeUnavailable
        with pytest.raises(StripeNotCalled):
            ask(url, gate)
    assert len(seen) == 20


def test_refusals_of_stripe_keep_the_breaker_closed(gate: Gate) -> None:
    error = {"type": "invalid_request_error", "code": "resource_missing", "message": "No such customer"}
    with stripe_that_answers(404, {"error": error}) as (url, seen):
        for _ in range(30):
            with pytest.raises(NotFound):
                ask(url, gate)
    assert len(seen) == 30


def test_a_silent_stripe_is_left_when_the_request_has_no_time_left(gate: Gate, clock: MonotonicClock) -> None:
    meter = LateMeter(clock)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        gate.begin_request()
        with pytest.raises(StripeUnavailable) as left:
            ask(f"http://127.0.0.1:{silent.getsockname()[1]}", gate, meter)
        gate.end_request()
    assert type(left.value) is StripeUnavailable, "the call was sent, so its outcome is unknown"
    assert meter.attempts == 1


def test_silent_calls_open_the_breaker(gate: Gate, clock: MonotonicClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for _ in range(5):
            gate.begin_request()
            with pytest.raises(StripeUnavailable):
                ask(url, gate, LateMeter(clock))
            gate.end_request()
        with pytest.raises(StripeNotCalled):
            ask(url, gate)
