"""Wake the worker after a webhook. A burst needs one drain job, and no wake-up is lost."""

import threading
import time

import structlog

from gateway.db import jobs
from gateway.db.session import Database
from gateway.errors import DatabaseUnavailable

# Seconds between two wake-ups of one process. A wake-up delays concurrent acknowledgements by half a millisecond, and a
# burst has many events. The drain that the first wake-up started lingers longer than this, so it sees the later events.
PAUSE = 0.15
# Seconds for which the wake-up relies on a running drain. That drain may already have claimed its last batch, and the
# event would then wait for the drain that runs every minute.
MAX_RELIANCE = 1.0
# Seconds that the last wake-up may take when the process ends. Without the limit, a database that does not answer would
# block the process.
CLOSE_TIMEOUT = 5.0
OUTAGE_PAUSE = 1.0  # seconds before the wake-up tries the database again

log = structlog.get_logger()


def defer_drain(database: Database, *, rely_on_running: bool = False) -> bool:
    """Enqueue the drain job unless one is already waiting. The worker continues in ``drain_loop.DrainLoop.run``.

    A waiting drain has not started yet, so it will find every event that is committed now. With ``rely_on_running``, a
    running drain is enough as well. Return False only in that case.
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
    """Tells the worker that the inbox has events, at most once per pause.

    The endpoint calls ``request_drain`` after its commit, and the thread clears the flag before it enqueues the job.
    That job, or one that was already waiting, then sees every event committed before the call. While a drain runs, the
    thread sets the flag again. It enqueues a job when that drain has ended, or after a second. A process that dies in
    between loses the wake-up but not the event, because a drain also runs every minute.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._requested = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def request_drain(self) -> None:
        """Request a drain. The thread continues in ``defer_drain``."""
        self._requested.set()
        # The first call starts the thread. Started earlier, it would not survive the fork into this process.
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="wakeup", daemon=True)
                    self._thread.start()

    def close(self) -> None:
        """Enqueue the last requested drain and stop. Give up after ``CLOSE_TIMEOUT`` seconds."""
        self._stopped.set()
        self._requested.set()
        with self._starting:
            thread = self._thread
        if thread is not None:
            thread.join(CLOSE_TIMEOUT)

    def _run(self) -> None:
        requested_since: float | None = None
        while self._requested.wait():
            # Clear the flag before checking for shutdown, or we could erase the one that `close` sets.
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
        except DatabaseUnavailable:  # without another try, the event could wait for a minute after the outage
            log.warning("wakeup_failed", exc_info=True)
            self._stopped.wait(OUTAGE_PAUSE)
            return False
        except Exception:  # The thread must survive any database error. The event waits for the next wake-up.
            log.warning("wakeup_failed", exc_info=True)
            return True
