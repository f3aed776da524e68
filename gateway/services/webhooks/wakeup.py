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
RELIED_ON = 1.0
# Seconds that the last wake-up may take when the process ends: a database that does not answer must not hold it up.
CLOSE_TIMEOUT = 5.0

log = structlog.get_logger()


def defer_drain(database: Database, *, relying: bool = False) -> bool:
    """Enqueue the drain, unless one is waiting already: that one starts later, and so finds what is there by now.

    ``relying`` on a drain that runs, none is enqueued beside it: then, and only then, this gives False.
    """
    with database.reading() as session:
        waits, runs = jobs.standing(session, jobs.DRAIN_INBOX)
    if waits:
        return True
    if runs and relying:
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
        self._wanted = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def request_drain(self) -> None:
        """Ask for a drain."""
        self._wanted.set()
        if self._thread is None:  # started by the first call: after the fork, in the process that needs it
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="wakeup", daemon=True)
                    self._thread.start()

    def close(self) -> None:
        """Enqueue what was asked for last, and stop; given up on after some seconds."""
        self._stopped.set()
        self._wanted.set()
        with self._starting:
            thread = self._thread
        if thread is not None:
            thread.join(CLOSE_TIMEOUT)

    def _run(self) -> None:
        wanted_since: float | None = None
        while self._wanted.wait():
            # Lowered before it is looked whether to stop: otherwise `close`, coming in between, would raise it in vain.
            self._wanted.clear()
            stopping = self._stopped.is_set()
            now = time.monotonic()
            wanted_since = wanted_since or now
            relying = not stopping and now - wanted_since < RELIED_ON
            if self._defer(relying=relying):
                wanted_since = None
            else:
                self._wanted.set()
            if stopping:
                return
            self._stopped.wait(PAUSE)

    def _defer(self, *, relying: bool) -> bool:
        try:
            return defer_drain(self._database, relying=relying)
        except Exception:  # the thread must outlive whatever the database says; the event waits for the next call
            log.warning("wakeup_failed", exc_info=True)
            return True
