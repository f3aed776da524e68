"""The sandbox's own time, in unix seconds."""

import threading
import time
from collections.abc import Callable

LATEST = 4_102_444_800
"""The year 2100. No clock here passes it, so every period ends on a valid calendar date."""


class Clock:
    """A clock that can be moved ahead of another clock."""

    def __init__(self, source: Callable[[], float]) -> None:
        self._source = source
        self._ahead = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """Return the current time."""
        return self._source() + self._ahead

    def advance(self, seconds: float) -> None:
        """Move the clock further ahead by ``seconds``."""
        with self._lock:
            self._ahead += seconds


class StartingClock:
    """A clock that stands still at ``start`` until ``run()`` and then follows real time."""

    def __init__(self, start: float) -> None:
        self._start = start
        self._since: float | None = None

    def __call__(self) -> float:
        """Return the current time."""
        return self._start + (0 if self._since is None else time.monotonic() - self._since)

    def run(self) -> None:
        """Start the clock."""
        self._since = time.monotonic()
