"""Run both walks one after the other, as ``gateway reconcile`` does, and load the figures of past runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.db.models import Reconciliation
from gateway.services.reconciliation import drift, gap
from gateway.services.reconciliation.progress import Progress
from gateway.services.reconciliation.report import Report, format_counts
from gateway.services.runtime import Gateway
from gateway.services.webhooks import drain
from gateway.services.webhooks.drain import Handlers


def reconcile(gateway: Gateway, handlers: Handlers, *, dry_run: bool, say: Callable[[str], None]) -> Report:
    """Walk the gap, drain the events it found, walk the drift and return the report.

    ``say`` receives a line of progress after each page. Raise StripeUnavailable or ReconciliationInProgress. The next
    call resumes from the page that was reached.
    """
    missed = Progress()
    for missed in gap.walk(gateway, handlers.keys(), dry_run=dry_run):
        say(f"events: {format_counts(missed.counts)}")
    if not dry_run:
        # The drift walk leaves objects with pending events alone. Do not wait for a worker to drain them.
        drain.drain_inbox(gateway, handlers)
    compared, differences = Progress(), []
    for page in drift.walk(gateway, dry_run=dry_run):
        compared = page.progress
        differences += page.differences
        say(f"objects: {format_counts(compared.counts)}")
    return Report(dry_run=dry_run, gap=missed, drift=compared, differences=differences)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What the metrics report about one kind of run. ``counts`` belongs to the last finished run."""

    finished_at: datetime | None
    checked_until: datetime | None
    counts: Mapping[str, int]
    unfinished_since: datetime | None


def load_reconciliation_figures(gateway: Gateway) -> dict[str, Figures]:
    """Return the figures of the last finished and of the unfinished run, by kind (``gap``, ``drift``).

    Raise DatabaseUnavailable.
    """
    with gateway.database.reading() as session:
        return {kind: load_figures(session, kind) for kind in (gap.KIND, drift.KIND)}


def load_figures(session: Session, kind: str) -> Figures:
    """Load the figures of one kind of run."""
    runs = select(Reconciliation).where(Reconciliation.kind == kind)
    last = session.scalar(
        runs.where(Reconciliation.finished_at.is_not(None)).order_by(Reconciliation.started_at.desc()).limit(1)
    )
    unfinished = session.scalar(runs.where(Reconciliation.finished_at.is_(None)))
    return Figures(
        finished_at=last.finished_at if last is not None else None,
        checked_until=last.until if last is not None else None,
        counts=last.counts if last is not None else {},
        unfinished_since=unfinished.started_at if unfinished is not None else None,
    )
