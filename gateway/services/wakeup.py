"""The wake-up after a webhook: one drain job for a burst, and none lost."""

import threading

import structlog

from gateway.db import jobs
from gateway.db.session import Database

PAUSE = 0.03  # seconds between two jobs of one process: a job costs a millisecond, a burst has thousands of events

log = structlog.get_logger()


def defer_drain(database: Database) -> None:
    """Enqueue the drain, unless one is waiting already: that one starts later, and so finds what is there by now."""
    with database.transaction() as session:
        if not jobs.waits(session, jobs.DRAIN_INBOX):
            jobs.defer(session, jobs.DRAIN_INBOX, queueing_lock=jobs.DRAIN_INBOX)


class Wakeup:
    """Tells the worker that the inbox has something, at most once a pause.

    ``call`` is made after the commit, and the flag is lowered before the job is enqueued: whatever was committed
    before ``call`` is seen by that job, or by one that was waiting and has not started. A process that dies in between
    loses the call, not the event: a drain runs every minute anyway.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wanted = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def call(self) -> None:
        """Ask for a drain."""
        self._wanted.set()
        if self._thread is None:  # started by the first call: after the fork, in the process that needs it
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="wakeup", daemon=True)
                    self._thread.start()

    def close(self) -> None:
        """Enqueue what was asked for last, and stop."""
        self._stopped.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while self._wanted.wait():
            stopping = self._stopped.is_set()  # read first: what was asked for before `close` is still enqueued
            self._wanted.clear()
            try:
                defer_drain(self._database)
            except Exception:  # the thread must outlive whatever the database says; the event waits for the next call
                log.warning("wakeup_failed", exc_info=True)
            if stopping:
                return
            self._stopped.wait(PAUSE)
