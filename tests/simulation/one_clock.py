"""One clock and one source of randomness for everything in this process: the gateway, its libraries and the sandbox."""

import math
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Self, TypeVar
from unittest.mock import patch

from stripe import _api_requestor

from gateway import failpoints
from gateway.failpoints import Failpoint
from gateway.services.usage import report_to_stripe

BEGINS = 2_000_000_000
"""The first second, in May 2033. PostgreSQL's own clock, which a few statements read, is earlier for many years."""
R = TypeVar("R")


class Died(BaseException):
    """The process died. No handler of the gateway catches it."""


class OneClock:
    """A clock that stands still between the steps of the simulation. A process that sleeps moves it."""

    def __init__(self) -> None:
        self.seconds: float = BEGINS

    def __call__(self) -> float:
        """Return the time in Unix seconds."""
        return self.seconds

    def now(self) -> datetime:
        """Return the time in UTC."""
        return datetime.fromtimestamp(self.seconds, UTC)

    def move(self, seconds: float) -> None:
        """Move the clock to a moment. It never goes back."""
        self.seconds = max(self.seconds, seconds)

    def sleep(self, seconds: float) -> None:
        """Let time pass, in whole milliseconds. Without the rounding up, a tiny pause would never end."""
        self.seconds = math.ceil((self.seconds + seconds) * 1000) / 1000


class InlineExecutor:
    """Runs each call immediately, in the order of the calls. Threads would run them in any order."""

    def __init__(self, _threads: int) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def map(self, call: Callable[[Any], R], arguments: Iterable[Any]) -> list[R]:
        return [call(each) for each in arguments]


def die(point: Failpoint) -> None:
    """Stand in for the end of the process at a failpoint."""
    raise Died(f"failpoint {point}")


@contextmanager
def in_one_time(clock: OneClock, source: random.Random) -> Iterator[None]:
    """Let the standard library read ``clock``, draw from ``source`` and start no thread for the gateway's usage.

    Threads that other tests have left keep their own time and randomness. One that sleeps would move the clock.
    """
    here = threading.get_ident()

    def only_here(simulated: Callable[..., R], real: Callable[..., R]) -> Callable[..., R]:
        def call(*arguments: Any) -> R:
            return (simulated if threading.get_ident() == here else real)(*arguments)

        return call

    def draw_uuid() -> uuid.UUID:
        return uuid.UUID(int=source.getrandbits(128), version=4)

    state = random.getstate()
    random.seed(source.getrandbits(64))
    with (
        patch.object(time, "time", only_here(clock, time.time)),
        patch.object(time, "monotonic", only_here(clock, time.monotonic)),
        patch.object(time, "sleep", only_here(clock.sleep, time.sleep)),
        patch.object(uuid, "uuid4", only_here(draw_uuid, uuid.uuid4)),
        # Not os.urandom, of which SQLAlchemy draws a name for each query that it has not compiled before.
        patch.object(_api_requestor, "_generate_idempotency_key", lambda: draw_uuid().hex),
        patch.object(failpoints, "kill", die),
        patch.object(report_to_stripe, "ThreadPoolExecutor", InlineExecutor),
    ):
        yield
    random.setstate(state)
