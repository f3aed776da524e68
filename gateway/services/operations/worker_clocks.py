"""The workers whose machine's clock differs from the database's.

The database's clock decides which work is due, so such a worker works on. But its machine starts the periodic jobs, and
dates the logs.
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

PREFIX = "clock of "
MAX_SKEW = timedelta(seconds=2)
REPORT_EVERY = timedelta(seconds=15)
IS_REPORT = Check.name.startswith(PREFIX)


def report_clock(gateway: Gateway) -> None:
    """Store by how much this machine's clock differs, if it does. Delete earlier reports of this worker and dead ones.

    Raise DatabaseUnavailable.
    """
    now = gateway.clock()
    skew = datetime.now(UTC) - now
    name = f"{PREFIX}worker {os.getpid()} on {socket.gethostname()}"
    is_over = or_(Check.name == name, Check.checked_at < now - 2 * REPORT_EVERY)
    gateway.database.execute(delete(Check).where(IS_REPORT, is_over))
    if abs(skew) > MAX_SKEW:
        side = "ahead of" if skew > timedelta(0) else "behind"
        problem = f"{abs(skew).total_seconds():.0f} seconds {side} the database's"
        store_result(gateway.database, name, problem, now)


def find_wrong_clocks(session: Session, now: datetime) -> Sequence[str]:
    """Return a description of each live worker's clock that differs."""
    recent = select(Check).where(IS_REPORT, Check.checked_at >= now - 2 * REPORT_EVERY).order_by(Check.name)
    return [f"{each.name} is {each.problem}" for each in session.scalars(recent)]
