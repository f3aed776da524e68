"""Drain the inbox, with one drain per process. It gathers events and lingers for the next ones.

A job costs more than an event. Under load a drain therefore takes the events of some milliseconds at a time and
continues. Otherwise one job would follow another with hardly an event each.
"""

import threading
import time

from gateway.services.runtime import Gateway
from gateway.services.webhooks.drain import BATCH, Handlers, drain_batch
from gateway.services.webhooks.put_off import resume_unlocked
from gateway.services.webhooks.wakeup import defer_drain
from gateway.supervision import DRAIN, Supervision

GATHER = 0.02  # seconds between two batches. An event waits half of it on average.
# After a batch of that many events. A batch costs as much as dozens of events, whatever its size.
GATHER_UNDER_LOAD, LOAD = 0.06, 10
LINGER = 0.25  # seconds without an event after which a drain ends. At lower rates, a job per event is affordable.
LOOK_AGAIN = 0.5  # seconds between two looks whether locked organizations are unlocked


class DrainLoop:
    """Runs one drain at a time in a process. Further drain jobs end immediately, and the running drain looks again."""

    def __init__(self, gateway: Gateway, handlers: Handlers, supervised: Supervision, linger: float) -> None:
        self._gateway = gateway
        self._handlers = handlers
        self._supervised = supervised
        self._linger = linger
        self._requested = threading.Event()
        self._running = threading.Lock()

    def run(self) -> None:
        """Process every due event, and those that arrive within ``linger`` seconds of the last one.

        This is the drain job that ``wakeup.defer_drain`` enqueues. ``drain.drain_batch`` merges each batch.
        """
        self._requested.set()
        # Check the flag again after releasing the lock. Another job may have set it after the last batch, and have
        # failed to get the lock. Without the check, its events would wait for the next drain.
        while self._requested.is_set() and self._running.acquire(blocking=False):
            try:
                self._requested.clear()
                self._drain_until_idle()
            finally:
                self._supervised.rest(DRAIN)
                self._running.release()

    def _drain_until_idle(self) -> None:
        last = looked = time.monotonic()
        is_waiting = False
        while True:
            self._supervised.beat(DRAIN)
            # While an organization stays locked, a batch that waits for it again would delay the others.
            done = drain_batch(self._gateway, self._handlers, skip_locked=is_waiting)
            # An inbox that fills as fast as it is drained would keep an ending worker forever. Leave the rest to
            # another worker, or to this one after its restart.
            if self._supervised.ending.is_set():
                defer_drain(self._gateway.database)
                return
            now = time.monotonic()
            if done:
                last = now
            is_idle = not done and now - last >= self._linger
            if now - looked >= LOOK_AGAIN or (is_idle and not is_waiting):
                is_waiting = resume_unlocked(self._gateway) is not None
                looked = now
            if is_idle and not is_waiting:
                return
            if done < BATCH and (self._linger or is_waiting):
                self._supervised.ending.wait(choose_pause(done))


def choose_pause(done: int) -> float:
    """Return the seconds between a batch of ``done`` events and the next one."""
    return GATHER_UNDER_LOAD if done >= LOAD else GATHER
