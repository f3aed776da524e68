"""Bound what calls to Stripe can take from a process, which is its threads and a person's time.

A hung Stripe would otherwise hold every thread until its timeout, and then even ``/health/live`` would not answer.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self

from stripe import APIConnectionError, APIError

from gateway.errors import StripeNotCalled
from gateway.metrics import ATTEMPT_SECONDS, CALLS_REFUSED
from gateway.stripe_api.breaker import Breaker, Outcome

CONNECT_TIMEOUT, READ_TIMEOUT = 3.0, 20.0  # seconds. The SDK's own 80 would outlive every caller's patience.
PERSON_WAITS = 10.0  # seconds, for all calls of one web request together
SHORTEST_TIMEOUT = 0.1  # seconds
SHORTEST_CALL = 2.0  # seconds. With less time left, an ordinary call might time out and leave its outcome unknown.


@dataclass(frozen=True, kw_only=True)
class Share:
    """The part of a process's threads that may be busy with Stripe."""

    size: int
    """How many threads may call Stripe at a time."""
    waiting: int
    """How many more may wait for one of those to finish."""
    patience: float
    """Seconds that they wait."""

    @classmethod
    def of_web(cls, threads: int) -> Self:
        """Give half of the threads to Stripe. At least a quarter stays free for everything else."""
        return cls(size=max(1, threads // 2), waiting=threads // 4, patience=0.5)

    @classmethod
    def of_worker(cls, concurrency: int) -> Self:
        """Leave one thread to the inbox. A job that is refused runs again later, so it can wait a little."""
        return cls(size=max(1, concurrency - 1), waiting=concurrency, patience=2.0)


class ThreadState(threading.local):
    """What one thread does at the moment. Each thread begins with these values."""

    in_request = False
    has_place = False
    deadline: float | None = None
    sent = False
    """Whether Stripe may have received the present call."""
    took = 0.0
    """Duration of the last attempt, in seconds."""


class Gate:
    """Every call to Stripe passes the gate of its process, pages of lists included.

    A web request occupies a place from its first call to its end, so that it cannot be refused half-way for lack of
    one. Elsewhere each attempt occupies a place for itself, so that a call which waits for the budget occupies none.
    """

    def __init__(self, breaker: Breaker, share: Share, clock: Callable[[], float] = time.monotonic) -> None:
        self._breaker = breaker
        self._share = share
        self._clock = clock
        self._places = threading.BoundedSemaphore(share.size)
        self._present = threading.BoundedSemaphore(share.size + share.waiting)
        self._thread = ThreadState()

    def begin_request(self) -> None:
        """Begin a web request in this thread. Its time begins with its first call."""
        self._thread.in_request, self._thread.deadline = True, None

    def end_request(self) -> None:
        """End the web request of this thread, and free its place."""
        self._thread.in_request = False
        self._free_place()

    def reserve(self) -> StripeNotCalled | None:
        """Occupy the web request's place before its first call. Return the error if a call would be refused now.

        The caller can then refuse a request before it writes anything. Outside a web request this does nothing.
        """
        try:
            if self._thread.in_request:
                self._breaker.refuse_if_open()
                self._occupy_place()
        except StripeNotCalled as refusal:
            return refusal
        return None

    def yield_place(self) -> None:
        """Free the place of this thread while it waits for something other than Stripe. The next call occupies one."""
        self._free_place()

    def begin_call(self) -> None:
        """Begin a call. Raise StripeNotCalled if it would be refused, before it waits for the budget of calls."""
        self._thread.sent = False
        self._breaker.refuse_if_open()
        if self._thread.in_request:
            self._occupy_place()
            if not self.has_time():
                CALLS_REFUSED.labels("deadline").inc()
                raise StripeNotCalled("Stripe answers too slowly at the moment. Please try again later.")

    @contextmanager
    def attempt(self) -> Iterator[Callable[[int], None]]:
        """Let one attempt of the call pass. The block passes the status of the answer to the function it gets.

        Raise StripeNotCalled before the block if the call may not be made.
        """
        episode = self._admit_attempt()
        outcome: Outcome | None = None

        def note_status(status: int) -> None:
            nonlocal outcome
            outcome = Outcome.FAILED if status >= HTTPStatus.INTERNAL_SERVER_ERROR else Outcome.ANSWERED

        began = self._clock()
        try:
            yield note_status
        except APIConnectionError:
            outcome = Outcome.SILENT
            raise
        except APIError:
            outcome = Outcome.FAILED
            raise
        finally:
            if not self._thread.in_request:
                self._free_place()
            self._thread.took = self._clock() - began
            if outcome is not None:
                ATTEMPT_SECONDS.labels(outcome.name.lower()).observe(self._thread.took)
            self._breaker.leave(episode, outcome)

    def longest_attempt(self) -> float:
        """Return how many seconds the next attempt may take. They are above 0, which urllib3 requires."""
        left = self._time_left()
        return max(left, SHORTEST_TIMEOUT) if left is not None else CONNECT_TIMEOUT + READ_TIMEOUT

    def has_time(self) -> bool:
        """Return whether there is time for another call."""
        left = self._time_left()
        return left is None or left >= SHORTEST_CALL

    def has_time_to_retry(self) -> bool:
        """Return whether there is time for another attempt that takes as long as the last one.

        No timeout ends a lookup of a name, so a second one could make a person wait for longer than promised.
        """
        left = self._time_left()
        return left is None or left >= max(SHORTEST_CALL, self._thread.took)

    def _time_left(self) -> float | None:
        """Return the seconds left to the web request, or None outside one."""
        if not self._thread.in_request:
            return None
        if self._thread.deadline is None:
            self._thread.deadline = self._clock() + PERSON_WAITS
        return self._thread.deadline - self._clock()

    def _admit_attempt(self) -> int:
        """Occupy a place and enter the breaker. Return the breaker's episode.

        Raise StripeNotCalled. Raise APIConnectionError if Stripe may have received an earlier attempt, because the
        outcome of the call is unknown then.
        """
        try:
            self._occupy_place()
            episode = self._breaker.enter()
        except StripeNotCalled as refusal:
            if not self._thread.in_request:
                self._free_place()
            if self._thread.sent:
                raise APIConnectionError("The gateway makes no other attempt.", should_retry=False) from refusal  # type: ignore[no-untyped-call]  # untyped in the SDK
            raise
        self._thread.sent = True
        return episode

    def _occupy_place(self) -> None:
        """Wait for a place, unless this thread has one. Raise StripeNotCalled if none is free in time."""
        if self._thread.has_place:
            return
        if self._present.acquire(blocking=False):
            if self._places.acquire(timeout=self._share.patience):
                self._thread.has_place = True
                return
            self._present.release()
        CALLS_REFUSED.labels("threads").inc()
        raise StripeNotCalled("Too many requests wait for Stripe at the moment. Please try again later.")

    def _free_place(self) -> None:
        """Free the place of this thread, if it has one."""
        if self._thread.has_place:
            self._thread.has_place = False
            self._places.release()
            self._present.release()
