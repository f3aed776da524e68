"""The organizations whose spend must be checked. Each transaction that may raise a spend requests a check."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import delete, select, text, update
from sqlalchemy.orm import Session

from gateway.db.models import SpendCheck
from gateway.db.queries import among

BATCH = 100
# The rows are sorted, because two transactions could deadlock otherwise. An INSERT with a VALUES list would be compiled
# for each number of rows.
REQUEST = text("""
    INSERT INTO spend_checks AS known (organization_id, due_at, expires_at)
    SELECT id, :now, :expires_at FROM unnest(CAST(:organizations AS text[])) AS wanted (id) ORDER BY id
    ON CONFLICT (organization_id) DO UPDATE
    SET due_at = least(known.due_at, excluded.due_at), expires_at = excluded.expires_at
""")
AGAIN_AFTER = timedelta(minutes=2)
EXPIRES_AFTER = timedelta(minutes=15)


class ClaimedCheck(NamedTuple):
    """A check that one job makes now. ``due_at`` is when another job would repeat it."""

    organization_id: str
    due_at: datetime
    expires_at: datetime


def request_checks(session: Session, organization_ids: Iterable[str], now: datetime) -> None:
    """Make the worker check these organizations."""
    ids = list(organization_ids)
    if ids:
        parameters = {"organizations": ids, "now": now, "expires_at": now + EXPIRES_AFTER}
        session.connection().execute(REQUEST, parameters)


def claim_checks(session: Session, now: datetime) -> list[ClaimedCheck]:
    """Claim the due checks that no other job has locked. Another job repeats them in two minutes."""
    due = select(SpendCheck.organization_id).where(SpendCheck.due_at <= now).order_by(SpendCheck.due_at)
    claimed = session.scalars(due.limit(BATCH).with_for_update(skip_locked=True)).all()
    ahead = update(SpendCheck).where(among(SpendCheck.organization_id, claimed)).values(due_at=now + AGAIN_AFTER)
    columns = (SpendCheck.organization_id, SpendCheck.due_at, SpendCheck.expires_at)
    rows = session.execute(ahead.returning(*columns), execution_options={"synchronize_session": False})
    return [ClaimedCheck(*row) for row in rows]


def end_check(session: Session, check: ClaimedCheck) -> None:
    """Remove a check that is made, unless another one was requested in the meantime."""
    is_same = (SpendCheck.organization_id == check.organization_id, SpendCheck.due_at == check.due_at)
    session.execute(delete(SpendCheck).where(*is_same))
