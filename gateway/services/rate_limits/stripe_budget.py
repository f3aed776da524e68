"""The rate of calls to Stripe that all processes share. Users come first, then refreshes, then reconciliation.

Stripe limits an account's calls per second (https://docs.stripe.com/rate-limits). One row in PostgreSQL stores the
time up to which this rate is used up, and every call moves that time forward. A background call waits until the stored
time is near. A user's call never waits. Users therefore take calls from the background, and never the reverse.

A 429 pauses the background calls of all processes. Repeated 429s make the pause longer, and after ``FORGOTTEN_AFTER``
the count starts again. The row uses PostgreSQL's clock, because all machines share it. No process holds a transaction
open while it waits or calls Stripe.
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from enum import Enum

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from gateway.db.models import StripeBudget
from gateway.db.session import Database
from gateway.errors import DatabaseUnavailable, StripeUnavailable
from gateway.services.backoff import compute_wait

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(seconds=30)
FORGOTTEN_AFTER = timedelta(minutes=2)
MAX_AHEAD = timedelta(seconds=5)  # a burst of users' calls delays the background no longer than this
MAX_TRIES = 10  # for one call of reconciliation, which takes about three minutes
LONGEST_PROBE = timedelta(seconds=45)  # a worker's probe takes two attempts and the pause between them

# The commit does not wait for the disk, because a crash of PostgreSQL may forget the calls of its last second.
# Without a headroom, the call takes its share in any case.
TAKE_SHARE = """
    UPDATE stripe_budget
    SET used_until = least(greatest(used_until, gateway_now()) + %(share)s, gateway_now() + %(ahead)s)
    WHERE %(headroom)s::interval IS NULL
        OR greatest(used_until - %(headroom)s::interval, paused_until) <= gateway_now()
    RETURNING set_config('synchronous_commit', 'off', true)
"""
READ_WAIT = """
    SELECT greatest(used_until - %(headroom)s::interval, paused_until) - gateway_now() FROM stripe_budget
"""
CREATE_ROW = insert(StripeBudget).values(used_until=func.gateway_now()).on_conflict_do_nothing()

log = structlog.get_logger()


class Priority(Enum):
    """Who calls Stripe. The value is how far ahead the rate may be used up when a call starts. None means any."""

    USER = None
    REFRESH = timedelta(seconds=0.5)
    RECONCILIATION = timedelta(0)
    METER_EVENT = timedelta.max
    """Stripe counts meter events apart, and takes 1,000 a second. https://docs.stripe.com/rate-limits"""


# A context variable, because the SDK makes the call deep inside. A caller that sets nothing counts as a user.
_priority: ContextVar[Priority] = ContextVar("priority", default=Priority.USER)


@contextmanager
def calling_as(priority: Priority) -> Iterator[None]:
    """Give the calls of the block this priority."""
    token = _priority.set(priority)
    try:
        yield
    finally:
        _priority.reset(token)


class Budget:
    """Meters the calls of the Stripe client, which calls ``acquire`` before each one and ``limited`` after a 429."""

    LONGEST_WAIT = timedelta(seconds=2)
    """The longest wait of a refresh. A longer one would keep one of the worker's few threads from the inbox."""

    def __init__(self, database: Database, calls_per_second: int) -> None:
        self._database = database
        self._share = timedelta(seconds=1) / calls_per_second

    def note_breaker_open(self, pause: float) -> None:
        """Let other processes see that this one has stopped calling Stripe.

        The note lasts until the probe after the pause has ended. Otherwise it would flicker while Stripe hangs.
        """
        until = func.gateway_now() + timedelta(seconds=pause) + LONGEST_PROBE
        latest = func.greatest(StripeBudget.breaker_open_until, until)
        try:
            self._database.execute(update(StripeBudget).values(breaker_open_until=latest))
        except DatabaseUnavailable:  # raising it would hide the call's own error
            log.warning("stripe_breaker_not_noted", exc_info=True)

    def acquire(self) -> None:
        """Wait until a call may be made. Raise StripeUnavailable if a refresh would wait for too long."""
        priority = _priority.get()
        if priority is Priority.METER_EVENT:
            return
        while wait := self._take_share(priority):
            if priority is Priority.REFRESH and wait > self.LONGEST_WAIT:
                raise StripeUnavailable("Stripe asked for fewer calls. The gateway makes this call later.")
            time.sleep(wait.total_seconds() * random.uniform(1, 1.2))  # nosec B311  # noqa: S311 - no secret, it spreads the waking calls

    def limited(self, tries: int) -> bool:
        """Record a 429. Return whether to repeat the call, which was made ``tries`` times so far.

        Stripe did nothing for the refused call. Only reconciliation repeats it here. A user gets an error immediately,
        and a refresh queues itself again.
        """
        if _priority.get() is Priority.METER_EVENT:
            return False
        with self._database.transaction() as session:
            now, row = lock_budget(session)
            # A 429 during a pause belongs to the burst that began it. Counting it would make the pause too long.
            if row.paused_until is None or row.paused_until <= now:
                recent = row.paused_until is not None and now - row.paused_until < FORGOTTEN_AFTER
                row.strikes = row.strikes + 1 if recent else 1
                pause = compute_wait(FIRST_PAUSE, LONGEST_PAUSE, doublings=row.strikes - 1)
                row.paused_until = now + pause * random.uniform(0.5, 1)  # nosec B311  # noqa: S311 - no secret
        return _priority.get() is Priority.RECONCILIATION and tries < MAX_TRIES

    def _take_share(self, priority: Priority) -> timedelta:
        """Take one call's share of the rate and return 0, or return how long to wait before the next try."""
        parameters = {"share": self._share, "ahead": MAX_AHEAD, "headroom": priority.value}
        if self._database.read(TAKE_SHARE, parameters):
            return timedelta(0)
        if priority.value is not None and (found := self._database.read(READ_WAIT, parameters)):
            wait: timedelta = found[0][0]
            return max(wait, timedelta.resolution)  # a share may have become free since
        self._database.execute(CREATE_ROW)
        return self._take_share(priority)


def lock_budget(session: Session) -> tuple[datetime, StripeBudget]:
    """Lock the row until the transaction ends. Return PostgreSQL's time and the row."""
    query = select(StripeBudget).with_for_update()
    if (row := session.scalar(query)) is None:
        session.execute(CREATE_ROW)
        row = session.scalars(query).one()
    return session.scalars(select(func.gateway_now())).one(), row
