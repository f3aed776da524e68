"""Both walks in a row, as the command does them."""

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
    """Walk the gap, drain what it brought, walk the drift; ``say`` gets a line a page.

    Raises StripeUnavailable and ReconciliationInProgress; another call goes on from there.
    """
    missed = Progress()
    for missed in gap.walk(gateway, handlers.keys(), dry_run=dry_run):
        say(f"events: {format_counts(missed.counts)}")
    if not dry_run:
        # Whoever is first, a worker or this process: what is pending would not be compared.
        drain.drain(gateway, handlers)
    compared, differences = Progress(), []
    for page in drift.walk(gateway, dry_run=dry_run):
        compared = page.progress
        differences += page.differences
        say(f"objects: {format_counts(compared.counts)}")
    return Report(dry_run=dry_run, gap=missed, drift=compared, differences=differences)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What metrics tell of one kind of run. ``counts`` are those of the last finished one."""

    finished_at: datetime | None
    checked_until: datetime | None
    counts: Mapping[str, int]
    unfinished_since: datetime | None


def load_reconciliation_figures(gateway: Gateway) -> dict[str, Figures]:
    """For each kind of run (``gap``, ``drift``) how it went last, and since when one is unfinished.

    Raises DatabaseUnavailable.
    """
    with gateway.database.transaction() as session:
        return {kind: load_figures(session, kind) for kind in (gap.KIND, drift.KIND)}


def load_figures(session: Session, kind: str) -> Figures:
    """How the last run of a kind went."""
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
