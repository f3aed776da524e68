"""The gate: how many threads and how much time calls to Stripe may take."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import pytest
import stripe

from gateway.errors import DatabaseUnavailable, StripeNotCalled
from gateway.stripe_api.breaker import Breaker
from gateway.stripe_api.gate import CONNECT_TIMEOUT, PERSON_WAITS, READ_TIMEOUT, SHORTEST_CALL, Gate, Share
from tests.support.monotonic import MonotonicClock

SIZE = 2


@pytest.fixture
def clock() -> MonotonicClock:
    return MonotonicClock()


@pytest.fixture
def gate(clock: MonotonicClock) -> Gate:
    return Gate(Breaker(clock), Share(size=SIZE, waiting=1, patience=0), clock)


def call(gate: Gate, status: int = 200) -> None:
    gate.begin_call()
    with gate.attempt() as note_status:
        note_status(status)


def end_request_on(thread: ThreadPoolExecutor, gate: Gate) -> None:
    thread.submit(gate.end_request).result()


@contextmanager
def occupied(gate: Gate, places: int) -> Iterator[None]:
    """Let web requests in other threads occupy places."""
    with ExitStack() as threads:
        for _ in range(places):
            thread = threads.enter_context(ThreadPoolExecutor(1))
            thread.submit(gate.begin_request).result()
            assert thread.submit(gate.reserve).result() is None
            threads.callback(end_request_on, thread, gate)
        yield


def places_left(gate: Gate) -> int:
    """Count the places that others could occupy."""
    for places in range(SIZE, 0, -1):
        with suppress(AssertionError), occupied(gate, places):
            return places
    return 0


def open_breaker(gate: Gate) -> None:
    for _ in range(5):
        gate.begin_call()
        with pytest.raises(stripe.APIConnectionError), gate.attempt():
            raise stripe.APIConnectionError("hung", should_retry=True)  # type: ignore[no-untyped-call]  # untyped in the SDK


def is_open(gate: Gate) -> bool:
    try:
        call(gate)
    except StripeNotCalled:
        return True
    return False


def test_a_call_is_refused_while_all_places_are_occupied(gate: Gate) -> None:
    with occupied(gate, SIZE), pytest.raises(StripeNotCalled) as refused:
        call(gate)
    assert refused.value.headers["Retry-After"] == "5"
    assert places_left(gate) == SIZE


def test_a_request_keeps_its_place_until_it_ends(gate: Gate) -> None:
    gate.begin_request()
    for _ in range(3):
        call(gate)
    assert places_left(gate) == SIZE - 1
    gate.end_request()
    assert places_left(gate) == SIZE


def test_a_request_that_reserved_is_not_refused_for_lack_of_a_place(gate: Gate) -> None:
    gate.begin_request()
    assert gate.reserve() is None
    with occupied(gate, SIZE - 1):
        call(gate)
    gate.end_request()


def test_a_waiting_request_gives_its_place_to_others(gate: Gate) -> None:
    gate.begin_request()
    assert gate.reserve() is None
    gate.yield_place()
    assert places_left(gate) == SIZE
    call(gate)
    assert places_left(gate) == SIZE - 1
    gate.end_request()


def test_full_gate_and_open_breaker_refuse_a_reservation(gate: Gate) -> None:
    with occupied(gate, SIZE):
        gate.begin_request()
        assert isinstance(gate.reserve(), StripeNotCalled)
        gate.end_request()
    open_breaker(gate)
    gate.begin_request()
    assert isinstance(gate.reserve(), StripeNotCalled)
    gate.end_request()


def test_a_retry_that_is_refused_leaves_the_outcome_unknown(gate: Gate) -> None:
    gate.begin_call()
    with pytest.raises(stripe.APIConnectionError), gate.attempt():
        raise stripe.APIConnectionError("lost", should_retry=True)  # type: ignore[no-untyped-call]  # untyped in the SDK
    with occupied(gate, SIZE), pytest.raises(stripe.APIConnectionError), gate.attempt():
        pass
    with occupied(gate, SIZE), pytest.raises(StripeNotCalled):
        call(gate)


def test_a_call_that_waits_for_the_budget_occupies_no_place(gate: Gate) -> None:
    gate.begin_call()
    assert places_left(gate) == SIZE


def test_outside_a_request_nothing_is_reserved(gate: Gate) -> None:
    with occupied(gate, SIZE):
        assert gate.reserve() is None


def test_the_calls_of_a_request_share_its_time(gate: Gate, clock: MonotonicClock) -> None:
    gate.begin_request()
    clock.now += 60  # before its first call, a request may take its time
    gate.begin_call()
    assert gate.longest_attempt() == PERSON_WAITS
    clock.now += 3
    assert gate.longest_attempt() == PERSON_WAITS - 3
    clock.now += PERSON_WAITS - 3 - SHORTEST_CALL
    call(gate)
    clock.now += 0.1
    with pytest.raises(StripeNotCalled):
        call(gate)
    gate.begin_request()
    call(gate)
    gate.end_request()


@pytest.mark.parametrize(("took", "retried"), [(PERSON_WAITS / 2, True), (PERSON_WAITS / 2 + 0.1, False)])
def test_attempt_that_may_not_end_in_time_is_not_repeated(
    gate: Gate, clock: MonotonicClock, took: float, retried: bool
) -> None:
    gate.begin_request()
    gate.begin_call()
    with suppress(stripe.APIConnectionError), gate.attempt():
        clock.now += took
        raise stripe.APIConnectionError("no name")  # type: ignore[no-untyped-call]  # the SDK has no annotation
    assert gate.has_time()
    assert gate.has_time_to_retry() is retried
    gate.end_request()


def test_calls_outside_a_request_have_no_common_bound(gate: Gate, clock: MonotonicClock) -> None:
    for _ in range(3):
        call(gate)
        assert gate.longest_attempt() == CONNECT_TIMEOUT + READ_TIMEOUT
        clock.now += 60
        assert gate.has_time()
        assert gate.has_time_to_retry()


@pytest.mark.parametrize("error", [DatabaseUnavailable("ours"), ZeroDivisionError()])
def test_an_error_of_our_own_frees_the_place_and_opens_nothing(gate: Gate, error: Exception) -> None:
    for _ in range(50):
        with pytest.raises(type(error)), gate.attempt():
            raise error
    assert not is_open(gate)


def test_answers_that_only_refuse_open_nothing(gate: Gate) -> None:
    for status in (400, 402, 404, 409, 429) * 10:
        call(gate, status)
    assert not is_open(gate)


def test_many_answers_5xx_in_a_row_open_the_breaker(gate: Gate) -> None:
    for _ in range(20):
        call(gate, 503)
    assert is_open(gate)


def test_many_answers_that_are_not_from_stripe_open_the_breaker(gate: Gate) -> None:
    for _ in range(20):
        with pytest.raises(stripe.APIError), gate.attempt():
            raise stripe.APIError("a proxy's page")
    assert is_open(gate)


@pytest.mark.parametrize(("threads", "calling", "free"), [(32, 16, 8), (8, 4, 2), (4, 2, 1), (2, 1, 1), (1, 1, 0)])
def test_a_web_process_keeps_threads_free_for_the_rest(threads: int, calling: int, free: int) -> None:
    share = Share.of_web(threads)
    assert (share.size, threads - share.size - share.waiting) == (calling, free)


@pytest.mark.parametrize(("concurrency", "calling"), [(4, 3), (2, 1), (1, 1)])
def test_a_worker_keeps_a_thread_free_for_the_inbox(concurrency: int, calling: int) -> None:
    assert Share.of_worker(concurrency).size == calling
