"""What each worker reports of its machine: a clock that differs from the database's, and lost connections.

The database's clock decides which work is due, so a worker with a wrong clock works on. But its machine starts the
periodic jobs, and dates the logs. A worker listens on one connection for as long as it runs. If that one is lost, other
connections are lost too.
"""

import os
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from gateway.db.checks import store_result
from gateway.db.models import Check
from gateway.services.runtime import Gateway

CLOCK, CONNECTION = "clock of ", "connection of "
MAX_SKEW = timedelta(seconds=2)
REPORT_EVERY = timedelta(seconds=15)
IS_REPORT = or_(Check.name.startswith(CLOCK), Check.name.startswith(CONNECTION))


def report_worker(gateway: Gateway, lost: int) -> None:
    """Store by how much this machine's clock differs, and how often the listening connection was lost, if at all.

    Delete earlier reports of this worker and dead ones. Raise DatabaseUnavailable.
    """
    now = gateway.clock()
    skew = datetime.now(UTC) - now
    worker = f"worker {os.getpid()} on {socket.gethostname()}"
    is_over = or_(Check.name.in_((CLOCK + worker, CONNECTION + worker)), Check.checked_at < now - 2 * REPORT_EVERY)
    gateway.database.execute(delete(Check).where(IS_REPORT, is_over))
    if abs(skew) > MAX_SKEW:
        side = "ahead of" if skew > timedelta(0) else "behind"
        problem = f"is {abs(skew).total_seconds():.0f} seconds {side} the database's"
        store_result(gateway.database, CLOCK + worker, problem, now)
    if lost:
        store_result(gateway.database, CONNECTION + worker, f"was lost {lost} times within seconds", now)


def find_reports(session: Session, kind: str, now: datetime) -> Sequence[str]:
    """Return a description of what each live worker reports of its ``CLOCK`` or ``CONNECTION``."""
    recent = select(Check).where(Check.name.startswith(kind), Check.checked_at >= now - 2 * REPORT_EVERY)
    return [f"{each.name} {each.problem}" for each in session.scalars(recent.order_by(Check.name))]
