"""The organizations whose spend must be checked. Each transaction that may raise a spend requests a check."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from gateway.db import bulk
from gateway.db.models import Base, SpendCheck
from gateway.db.queries import among
from gateway.json_types import Json

BATCH = 100
SPEND_CHECKS = Base.metadata.tables[SpendCheck.__tablename__]
AGAIN_AFTER = timedelta(minutes=2)
EXPIRES_AFTER = timedelta(minutes=15)


class ClaimedCheck(NamedTuple):
    """A check that one job makes now. ``due_at`` is when another job would repeat it."""

    organization_id: str
    due_at: datetime
    expires_at: datetime


def build_checks(organization_ids: Iterable[str], now: datetime) -> list[Json]:
    """Return the rows that make the worker check these organizations, for ``bulk.flush``.

    They are sorted, because two transactions could deadlock otherwise.
    """
    return [
        {"organization_id": each, "due_at": now, "expires_at": now + EXPIRES_AFTER} for each in sorted(organization_ids)
    ]


def request_checks(session: Session, organization_ids: Iterable[str], now: datetime) -> None:
    """Make the worker check these organizations."""
    bulk.flush(session, (), {SPEND_CHECKS: build_checks(organization_ids, now)})


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
