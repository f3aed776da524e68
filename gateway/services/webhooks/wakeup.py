"""The wake-up after a webhook: one drain job for a burst, and none lost."""

import threading
import time

import structlog

from gateway.db import jobs
from gateway.db.session import Database

# Seconds between two looks of one process: a look delays what is acknowledged meanwhile by half a millisecond, and a
# burst has many events. What comes in between is seen by the drain that the first one began, which lingers for longer.
PAUSE = 0.15
# A drain that runs looks on for some time, but perhaps not again after it seemed to: seconds for which it is relied on.
MAX_RELIANCE = 1.0
# Seconds that the last wake-up may take when the process ends: a database that does not answer must not hold it up.
CLOSE_TIMEOUT = 5.0

log = structlog.get_logger()


def defer_drain(database: Database, *, rely_on_running: bool = False) -> bool:
    """Enqueue the drain, unless one is waiting already: that one starts later, and so finds what is there by now.

    ``relying`` on a drain that runs, none is enqueued beside it: then, and only then, this gives False.
    """
    with database.reading() as session:
        waits, runs = jobs.standing(session, jobs.DRAIN_INBOX)
    if waits:
        return True
    if runs and rely_on_running:
        return False
    with database.transaction() as session:
        jobs.defer(session, jobs.DRAIN_INBOX, queueing_lock=jobs.DRAIN_INBOX)
    return True


class Wakeup:
    """Tells the worker that the inbox has something, at most once a pause.

    ``request_drain`` is called after the commit, and the flag is lowered before the job is enqueued: whatever was
    committed before ``request_drain`` is seen by that job, or by one that was waiting and has not started. While a
    drain runs the flag is raised again, and lowered only when that drain has ended or a second is over. A process that
    dies in between loses the call, not the event: a drain runs every minute anyway.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._requested = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def request_drain(self) -> None:
        """Ask for a drain."""
        self._requested.set()
        if self._thread is None:  # started by the first call: after the fork, in the process that needs it
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="wakeup", daemon=True)
                    self._thread.start()

    def close(self) -> None:
        """Enqueue what was asked for last, and stop; given up on after some seconds."""
        self._stopped.set()
        self._requested.set()
        with self._starting:
            thread = self._thread
        if thread is not None:
            thread.join(CLOSE_TIMEOUT)

    def _run(self) -> None:
        requested_since: float | None = None
        while self._requested.wait():
            # Lowered before it is looked whether to stop: otherwise `close`, coming in between, would raise it in vain.
            self._requested.clear()
            stopping = self._stopped.is_set()
            now = time.monotonic()
            requested_since = requested_since or now
            rely_on_running = not stopping and now - requested_since < MAX_RELIANCE
            if self._try_defer_drain(rely_on_running=rely_on_running):
                requested_since = None
            else:
                self._requested.set()
            if stopping:
                return
            self._stopped.wait(PAUSE)

    def _try_defer_drain(self, *, rely_on_running: bool) -> bool:
        try:
            return defer_drain(self._database, rely_on_running=rely_on_running)
        except Exception:  # the thread must outlive whatever the database says; the event waits for the next call
            log.warning("wakeup_failed", exc_info=True)
            return True
