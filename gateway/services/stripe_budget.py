"""The budget of calls to Stripe that all processes share: users first, refreshes next, reconciliation last.

Stripe allows an account so many calls a second (https://docs.stripe.com/rate-limits). One row of PostgreSQL says up to
which moment that rate is used up. Every call moves the moment on; a call of the background waits until it has come
near, a user's call never waits. So what users do is taken from what the background may do, and not the other way round.

A 429, whoever gets it, pauses the background everywhere: longer with each one, at random, and forgotten after a while.
PostgreSQL's clock is the one that all machines share. No transaction is open while anybody waits or calls.
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from enum import Enum

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from gateway.db.models import StripeBudget
from gateway.db.session import Database
from gateway.errors import StripeUnavailable

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(seconds=30)
FORGOTTEN_AFTER = timedelta(minutes=2)
MOST_AHEAD = timedelta(seconds=5)  # a burst of users' calls holds the background up for no longer than this
TRIES = 10  # of one call of reconciliation: some three minutes


class Priority(Enum):
    """Who calls. ``headroom``: how much of the time ahead may be used up already."""

    USER = None
    REFRESH = timedelta(seconds=0.5)
    RECONCILIATION = timedelta(0)


# Not a parameter: the call is made deep inside the SDK, and whoever says nothing is a user.
_priority: ContextVar[Priority] = ContextVar("priority", default=Priority.USER)


@contextmanager
def calling_as(priority: Priority) -> Iterator[None]:
    """Make the calls of the block with ``priority``."""
    token = _priority.set(priority)
    try:
        yield
    finally:
        _priority.reset(token)


class Budget:
    """What the Stripe client asks before each call, and tells after a 429."""

    LONGEST_WAIT = timedelta(seconds=2)
    """Of a refresh: its job would rather come back than keep one of the worker's few threads from the inbox."""

    def __init__(self, database: Database, calls_per_second: int) -> None:
        self._database = database
        self._share = timedelta(seconds=1) / calls_per_second
        now = func.clock_timestamp()
        used_until = func.least(func.greatest(StripeBudget.used_until, now) + self._share, now + MOST_AHEAD)
        self._counting = update(StripeBudget).values(used_until=used_until)

    def acquire(self) -> None:
        """Wait until a call may be made. Raises StripeUnavailable if a refresh would have to wait for long."""
        priority = _priority.get()
        while wait := self._take(priority):
            if priority is Priority.REFRESH and wait > self.LONGEST_WAIT:
                raise StripeUnavailable("Stripe asked for fewer calls; this one is made later.")
            time.sleep(wait.total_seconds() * random.uniform(1, 1.2))  # nosec B311  # noqa: S311 - no secret: so that not all wake at once

    def limited(self, tries: int) -> bool:
        """Note a 429; says whether to make the same call again (``tries``: how often it was made).

        Nothing was done by a call that was refused so. A user is told at once, a refresh queues itself again.
        """
        with self._database.transaction() as session:
            now, row = locked(session)
            if row.paused_until is None or row.paused_until <= now:  # else it belongs to the one that began the pause
                recent = row.paused_until is not None and now - row.paused_until < FORGOTTEN_AFTER
                row.strikes = row.strikes + 1 if recent else 1
                pause = min(FIRST_PAUSE * (1 << min(row.strikes - 1, 16)), LONGEST_PAUSE)
                row.paused_until = now + pause * random.uniform(0.5, 1)  # nosec B311  # noqa: S311 - no secret
        return _priority.get() is Priority.RECONCILIATION and tries < TRIES

    def _take(self, priority: Priority) -> timedelta:
        """Take one call's share of the time, or give how long to wait before asking again."""
        if priority is Priority.USER and self._count():
            return timedelta(0)
        with self._database.transaction() as session:
            now, row = locked(session)
            used_until = max(row.used_until, now)
            headroom: timedelta | None = priority.value
            if headroom is not None:
                wait: timedelta = max(used_until - headroom, row.paused_until or now) - now
                if wait > timedelta(0):
                    return wait
            row.used_until = min(used_until + self._share, now + MOST_AHEAD)
        return timedelta(0)

    def _count(self) -> bool:
        """Take a share that nobody has to wait for; False if there is no row yet to count in."""
        return self._database.execute(self._counting) == 1


def locked(session: Session) -> tuple[datetime, StripeBudget]:
    """PostgreSQL's time, and the row, locked for the moment that its reader takes."""
    query = select(StripeBudget).with_for_update()
    if (row := session.scalar(query)) is None:
        session.execute(insert(StripeBudget).values(used_until=func.clock_timestamp()).on_conflict_do_nothing())
        row = session.scalars(query).one()
    return session.scalars(select(func.clock_timestamp())).one(), row
