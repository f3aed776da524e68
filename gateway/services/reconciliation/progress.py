"""The progress of a reconciliation run. The transaction that commits a page's findings also moves the cursor.

No process owns a run. Every process resumes the unfinished run, if there is one. Two processes that do so concurrently
fetch the same page. The one that commits second finds the cursor moved and stops. Therefore a killed run needs no
lease that has to expire.
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

RETENTION = timedelta(days=90)  # how long finished runs are kept
DRIFT = "drift"  # the kind of the drift walk's runs


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The state of a run. ``id`` is None for a dry run, which is never stored."""

    id: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    cursor: str | None = None
    counts: Counter[str] = field(default_factory=Counter)
    finished: bool = False

    @classmethod
    def of_row(cls, row: Reconciliation) -> Self:
        """Read the progress from its row."""
        return cls(id=row.id, since=row.since, until=row.until, cursor=row.cursor, counts=Counter(row.counts))

    def advance(self, until: datetime | None, cursor: str | None, found: Counter[str], *, finished: bool) -> Self:
        """Return the progress after one more page. ``until`` is the page's time. Only the first page's time is kept."""
        return replace(self, until=self.until or until, cursor=cursor, counts=self.counts + found, finished=finished)


def resume_or_begin(session: Session, kind: str, now: datetime, since: datetime | None = None) -> Progress:
    """Resume the unfinished run of a kind, or begin one that goes back to ``since``."""
    session.execute(delete(Reconciliation).where(Reconciliation.finished_at < now - RETENTION))
    row = insert(Reconciliation).values(kind=kind, since=since, counts={}, started_at=now, updated_at=now)
    session.execute(row.on_conflict_do_nothing())
    query = select(Reconciliation).where(Reconciliation.kind == kind, Reconciliation.finished_at.is_(None))
    return Progress.of_row(session.scalars(query).one())


def store(session: Session, before: Progress, after: Progress, now: datetime) -> None:
    """Move a run from ``before`` to ``after``. Raise ReconciliationInProgress if another process moved it."""
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
        raise ReconciliationInProgress("Another process is running the same reconciliation and is ahead.")


def checked_until(session: Session, kind: str) -> datetime | None:
    """Return Stripe's time up to which everything was checked, or None if no run of the kind has finished yet."""
    query = select(func.max(Reconciliation.until)).where(
        Reconciliation.kind == kind, Reconciliation.finished_at.is_not(None)
    )
    return session.scalar(query)


def is_due(session: Session, kind: str, every: timedelta, now: datetime) -> bool:
    """Return whether a run of the kind is unfinished, or none began within ``every``."""
    recent = select(Reconciliation.id).where(
        Reconciliation.kind == kind, Reconciliation.started_at > now - every, Reconciliation.finished_at.is_not(None)
    )
    return session.scalar(recent.limit(1)) is None


def note_seen(session: Session, run: int | None, ids: Collection[str]) -> None:
    """Store the ids of objects that were in Stripe's lists."""
    if ids:
        rows = [{"reconciliation_id": run, "object_id": each} for each in ids]
        session.execute(insert(SeenAtStripe).values(rows).on_conflict_do_nothing())


def forget_seen(session: Session, run: int | None) -> None:
    """Delete the ids that ``note_seen`` stored for a finished run."""
    session.execute(delete(SeenAtStripe).where(SeenAtStripe.reconciliation_id == run))


def find_unseen(session: Session, run: int | None, ids: Collection[str]) -> set[str]:
    """Return those of ``ids`` that the run has not seen in Stripe's lists."""
    query = select(SeenAtStripe.object_id).where(SeenAtStripe.reconciliation_id == run, SeenAtStripe.object_id.in_(ids))
    return set(ids) - set(session.scalars(query))
