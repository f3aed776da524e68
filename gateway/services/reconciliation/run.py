"""Both walks in a row, as the command does them, and what is told about them."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.db.models import Json, Reconciliation
from gateway.services.reconciliation import drift, gap
from gateway.services.reconciliation.differences import Class, Difference, Done, plain
from gateway.services.reconciliation.progress import Progress
from gateway.services.runtime import Gateway
from gateway.services.webhooks import drain
from gateway.services.webhooks.drain import Handlers

OUTCOMES = {
    Done.HEALED: "healed",
    Done.LEFT: "left: it is on its way",
    Done.WOULD_HEAL: "would be healed",
    Done.NOT_HEALED: "NOT healed: somebody must look at it",
}


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a run has found. ``differences`` are those of this process; the counts are of the whole run."""

    dry_run: bool
    gap: Progress
    drift: Progress
    differences: list[Difference]

    @property
    def in_order(self) -> bool:
        """Whether nothing is left that somebody must look at."""
        return not self.drift.counts[Done.NOT_HEALED] and not self.gap.counts["unreadable"]

    def to_json(self) -> Json:
        """For programs; times in ISO 8601."""
        return {
            "dry_run": self.dry_run,
            "in_order": self.in_order,
            "gap": {"since": plain(self.gap.since), "until": plain(self.gap.until), **self.gap.counts},
            "drift": {"until": plain(self.drift.until), **self.drift.counts},
            "differences": [each.to_json() for each in self.differences],
        }

    def in_words(self) -> Iterator[str]:
        """For people, a line each."""
        since = f"since {self.gap.since:%Y-%m-%d %H:%M:%S} UTC" if self.gap.since else "as far as Stripe remembers"
        put = "would be put" if self.dry_run else "put"
        yield f"Events, {since}: {self.gap.counts['events']} listed, {self.gap.counts['missing']} {put} into the inbox."
        if self.gap.counts["unreadable"]:
            yield f"  {self.gap.counts['unreadable']} could not be read: see the log."
        looked_at = ", ".join(f"{self.drift.counts[phase]} {phase.replace('_', ' ')}" for phase in drift.ORDER)
        yield f"Compared: {looked_at}."
        for each in self.differences:
            yield from told(each)
        classes = ", ".join(f"{self.drift.counts[cause]} {cause}" for cause in Class if self.drift.counts[cause])
        yield f"Differences: {classes or 'none'}."
        for done, words in OUTCOMES.items():
            if self.drift.counts[done]:
                yield f"  {self.drift.counts[done]} {words}"
        yield "In order." if self.in_order else "NOT in order."


def told(difference: Difference) -> Iterator[str]:
    """One difference for people: what it is, what became of it, and each field."""
    what = f"{difference.organization_id}  {difference.kind} {difference.stripe_id}"
    yield f"  {what}  {difference.cause}: {OUTCOMES[difference.done]}"
    for name, (ours, its) in difference.fields.items():
        yield f"      {name}: {plain(ours)!r} here, {plain(its)!r} at Stripe"


def reconcile(gateway: Gateway, handlers: Handlers, *, dry_run: bool, say: Callable[[str], None]) -> Report:
    """Walk the gap, drain what it brought, walk the drift; ``say`` gets a line a page.

    Raises StripeUnavailable and ReconciliationInProgress; another call goes on from there.
    """
    missed = Progress()
    for missed in gap.walk(gateway, handlers.keys(), dry_run=dry_run):
        say(f"events: {progress_of(missed.counts)}")
    if not dry_run:
        # Whoever is first, a worker or this process: what is pending would not be compared.
        drain.drain_inbox(gateway, handlers)
    compared, differences = Progress(), []
    for page in drift.walk(gateway, dry_run=dry_run):
        compared = page.progress
        differences += page.differences
        say(f"objects: {progress_of(compared.counts)}")
    return Report(dry_run=dry_run, gap=missed, drift=compared, differences=differences)


def progress_of(counts: Counter[str]) -> str:
    """The counts in a line."""
    return ", ".join(f"{number} {name}" for name, number in counts.items() if number) or "none"


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What metrics tell of one kind of run. ``counts`` are those of the last finished one."""

    finished_at: datetime | None
    checked_until: datetime | None
    counts: Mapping[str, int]
    unfinished_since: datetime | None


def reconciliation_figures(gateway: Gateway) -> dict[str, Figures]:
    """For each kind of run (``gap``, ``drift``) how it went last, and since when one is unfinished.

    Raises DatabaseUnavailable.
    """
    with gateway.database.transaction() as session:
        return {kind: figures(session, kind) for kind in (gap.KIND, drift.KIND)}


def figures(session: Session, kind: str) -> Figures:
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
