"""When the inbox is drained: one drain a process, which gathers what comes and stays a moment for what comes next.

A job costs more than an event. Under load, therefore, a drain takes what has gathered for some milliseconds at a time
and goes on, instead of one job following the other with hardly an event each.
"""

import threading
import time

from gateway.services.runtime import Gateway
from gateway.services.webhooks.drain import BATCH, Handlers, drain_batch
from gateway.services.webhooks.wakeup import defer_drain

GATHER = 0.02  # seconds between two looks: each event waits for half of it on average
LINGER = 0.25  # seconds without an event after which a drain ends: above it, a job an event is no burden


class DrainLoop:
    """A process's drains. Jobs beyond the first end at once: the running one looks again for them."""

    def __init__(self, gateway: Gateway, handlers: Handlers, stopping: threading.Event, linger: float) -> None:
        self._gateway = gateway
        self._handlers = handlers
        self._stopping = stopping
        self._linger = linger
        self._requested = threading.Event()
        self._running = threading.Lock()

    def run(self) -> None:
        """Work off everything that is due, and what comes within ``linger`` seconds of the last."""
        self._requested.set()
        # Asked for again, whoever drains looks again, and after letting go as well: between its last look and that,
        # another one may have been turned away.
        while self._requested.is_set() and self._running.acquire(blocking=False):
            try:
                self._requested.clear()
                self._drain_until_idle()
            finally:
                self._running.release()

    def _drain_until_idle(self) -> None:
        last = time.monotonic()
        while True:
            done = drain_batch(self._gateway, self._handlers)
            # An inbox that fills as fast as it is drained would keep a stopped worker for ever: the rest is another's.
            if self._stopping.is_set():
                defer_drain(self._gateway.database)
                return
            if done:
                last = time.monotonic()
            elif time.monotonic() - last >= self._linger:
                return
            if done < BATCH and self._linger:
                self._stopping.wait(GATHER)
