"""How far a reconciliation has come: kept in a row, and moved in the transaction that commits what was found.

Nobody owns a run. Whoever starts goes on with the unfinished one, if there is one; two that do so at once fetch the
same page, and the one that commits second finds the cursor moved and stops. So a killed run needs no lease to expire.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Self

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from gateway.db.models import Reconciliation, SeenAtStripe
from gateway.errors import ReconciliationInProgress

RETENTION = timedelta(days=90)  # finished runs are remembered for so long


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a run stands. ``id`` is None for a dry one, which is never stored."""

    id: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    cursor: str | None = None
    counts: Counter[str] = field(default_factory=Counter)
    finished: bool = False

    @classmethod
    def of_row(cls, row: Reconciliation) -> Self:
        """As it is stored."""
        return cls(id=row.id, since=row.since, until=row.until, cursor=row.cursor, counts=Counter(row.counts))

    def advance(self, until: datetime | None, cursor: str | None, found: Counter[str], *, finished: bool) -> Self:
        """One page further. ``until`` is the page's time, and counts if it is the first."""
        return replace(self, until=self.until or until, cursor=cursor, counts=self.counts + found, finished=finished)


def resume_or_begin(session: Session, kind: str, now: datetime, since: datetime | None = None) -> Progress:
    """Go on with the unfinished run of a kind, or begin one that goes back to ``since``."""
    session.execute(delete(Reconciliation).where(Reconciliation.finished_at < now - RETENTION))
    row = insert(Reconciliation).values(kind=kind, since=since, counts={}, started_at=now, updated_at=now)
    session.execute(row.on_conflict_do_nothing())
    query = select(Reconciliation).where(Reconciliation.kind == kind, Reconciliation.finished_at.is_(None))
    return Progress.of_row(session.scalars(query).one())


def store(session: Session, before: Progress, after: Progress, now: datetime) -> None:
    """Move a run from ``before`` to ``after``. Raises ReconciliationInProgress if another process has moved it."""
    values = {
        "until": after.until,
        "cursor": after.cursor,
        "counts": dict(after.counts),
        "updated_at": now,
        "finished_at": now if after.finished else None,
    }
    unmoved = (
        Reconciliation.id == before.id,
        Reconciliation.cursor.is_not_distinct_from(before.cursor),
        Reconciliation.finished_at.is_(None),
    )
    moved = session.scalar(update(Reconciliation).where(*unmoved).values(values).returning(Reconciliation.id))
    if moved is None:
        raise ReconciliationInProgress("Another process is at the same reconciliation, and has got further.")


def checked_until(session: Session, kind: str) -> datetime | None:
    """Stripe's time up to which everything was checked; None if no run of the kind has finished yet."""
    query = select(func.max(Reconciliation.until)).where(
        Reconciliation.kind == kind, Reconciliation.finished_at.is_not(None)
    )
    return session.scalar(query)


def is_due(session: Session, kind: str, every: timedelta, now: datetime) -> bool:
    """Whether a run of the kind is unfinished, or none has begun within ``every``."""
    recent = select(Reconciliation.id).where(
        Reconciliation.kind == kind, Reconciliation.started_at > now - every, Reconciliation.finished_at.is_not(None)
    )
    return session.scalar(recent.limit(1)) is None


def note_seen(session: Session, run: int | None, ids: Collection[str]) -> None:
    """Remember objects that were in Stripe's lists."""
    if ids:
        rows = [{"reconciliation_id": run, "object_id": each} for each in ids]
        session.execute(insert(SeenAtStripe).values(rows).on_conflict_do_nothing())


def forget_seen(session: Session, run: int | None) -> None:
    """A finished run needs them no more."""
    session.execute(delete(SeenAtStripe).where(SeenAtStripe.reconciliation_id == run))


def find_unseen(session: Session, run: int | None, ids: Collection[str]) -> set[str]:
    """Those of ``ids`` that the run has not seen in Stripe's lists."""
    query = select(SeenAtStripe.object_id).where(SeenAtStripe.reconciliation_id == run, SeenAtStripe.object_id.in_(ids))
    return set(ids) - set(session.scalars(query))
