"""The sandbox's own time, in unix seconds."""

import threading
import time
from collections.abc import Callable

LATEST = 4_102_444_800
"""2100: no clock here goes beyond, so that every period has an end in the calendar."""


class Clock:
    """Another clock's time, moved ahead."""

    def __init__(self, source: Callable[[], float]) -> None:
        self._source = source
        self._ahead = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """Now."""
        return self._source() + self._ahead

    def advance(self, seconds: float) -> None:
        """Move it ahead, by so much more."""
        with self._lock:
            self._ahead += seconds


class StartingClock:
    """Stands still at ``start`` until ``run()``, and goes on from there as real time does."""

    def __init__(self, start: float) -> None:
        self._start = start
        self._since: float | None = None

    def __call__(self) -> float:
        """Now."""
        return self._start + (0 if self._since is None else time.monotonic() - self._since)

    def run(self) -> None:
        """Let time pass from here on."""
        self._since = time.monotonic()
