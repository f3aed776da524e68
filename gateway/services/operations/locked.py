"""The organizations that a session of PostgreSQL keeps locked, so that their events wait."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from gateway.services.mirror.locks import OTHER

# PostgreSQL stores the locking transaction with the row. The join finds no session if a savepoint holds the lock, or if
# our database user may not see the session.
LOCKED = text("""
    SELECT waits_for, waiting, since, max(session.pid) FROM (
        SELECT waits_for, count(*) AS waiting, min(next_attempt_at) AS since FROM webhook_events
        WHERE waits_for IS NOT NULL GROUP BY waits_for
    ) AS event
    LEFT JOIN organizations ON organizations.id = waits_for
    LEFT JOIN pg_stat_activity AS session ON session.backend_xid = organizations.xmax
    GROUP BY waits_for, waiting, since ORDER BY since
""")
# Tables of ours whose lock stops every writer.
LOCKED_TABLES = text("""
    SELECT DISTINCT pg_class.relname, pg_locks.pid FROM pg_locks
    JOIN pg_class ON pg_class.oid = pg_locks.relation AND pg_class.relkind IN ('r', 'p')
    JOIN pg_database ON pg_database.oid = pg_locks.database AND pg_database.datname = current_database()
    WHERE granted AND mode IN ('AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock')
        AND pg_class.relnamespace <> 'pg_catalog'::regnamespace
    ORDER BY 1, 2
""")


@dataclass(frozen=True, kw_only=True)
class Locked:
    """An organization whose events wait for another session's lock."""

    organization_id: str
    """Its id, or ``OTHER`` if the lock is not an organization's."""
    events: int
    lag: timedelta
    """How long the oldest of them has been due."""
    session: int | None
    """The process id of the session that seems to hold the lock."""

    def describe(self) -> str:
        """Return the fact and the advice in words."""
        held = "something else" if self.organization_id == OTHER else self.organization_id
        holder = f" by session {self.session} of PostgreSQL" if self.session is not None else ""
        waits = f"{self.events} events have waited for {self.lag.total_seconds():.0f} seconds"
        return f"{held} is locked{holder}, and {waits}"


def find_locked_organizations(session: Session, now: datetime) -> Sequence[Locked]:
    """Return the organizations whose events wait, the longest wait first."""
    return [
        Locked(organization_id=name, events=events, lag=now - since, session=pid)
        for name, events, since, pid in session.execute(LOCKED)
    ]
