"""The merge: the only code that writes the mirror and the plan table.

Webhooks, answers, refreshes and reconciliation all end here, in batches: rows are locked and read once, each snapshot
is placed by ``ordering``, and what changed is written in bulk. Everything happens in the caller's transaction.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from gateway.db import bulk, jobs
from gateway.db.models import Invoice, Mirrored
from gateway.services.mirror.batch import Batch, Outcome
from gateway.services.mirror.refresh_jobs import lookup_job, refresh_job
from gateway.services.mirror.tables import KINDS
from gateway.services.plan_table import writer
from gateway.stripe_api.snapshots import Observation, Reference

MERGE_ORDER = {kind: position for position, kind in enumerate(KINDS)}
# Stripe tells most changes by several events, within moments: one that shows the object usually spares the lookup.
LOOKUP_DELAY, LONGEST_LOOKUP_DELAY = timedelta(seconds=10), timedelta(hours=1)


def merge(session: Session, observations: Sequence[Observation], now: datetime, *, attempt: int = 1) -> list[Outcome]:
    """Merge what was told into mirror, plan table and history; gives each one's outcome, in the same order.

    States that cannot be ordered are refreshed by jobs that this transaction enqueues, and so are the objects that are
    only referred to. ``now`` dates the history; ``attempt`` says how often in a row Stripe was asked for what it told.
    """
    batch = Batch(session, observations)
    positions = sorted(range(len(observations)), key=lambda i: batch_sort_key(observations[i]))
    with session.no_autoflush:
        outcomes = {position: batch.apply_observation(observations[position]) for position in positions}
        bulk.flush(session, Invoice)  # whose payment is read from there
        history = writer.update_plan_table(
            session, batch.affected, batch.organization_rows, batch.build_plan_of_product(), now
        )
        bulk.flush(session, Mirrored, *writer.WRITTEN_MODELS, more=history)
    jobs.defer_all(session, build_jobs(batch, now, attempt))
    return [outcomes[position] for position in range(len(observations))]


def batch_sort_key(observation: Observation) -> tuple[bool, datetime | None, int]:
    """Snapshots by time, then references: one of the snapshots may have told what they would ask for."""
    if isinstance(observation, Reference):
        return True, None, 0
    return False, observation.seen.as_of, MERGE_ORDER[observation.kind]


def build_jobs(batch: Batch, now: datetime, attempt: int) -> Iterator[jobs.Wanted]:
    """What is to be asked of Stripe at once, once more, or unless something tells it meanwhile."""
    for kind, stripe_id in batch.to_refresh:
        yield refresh_job(kind, stripe_id)
    # Later each time: as long as Stripe is slow, asking it once more makes nothing certain.
    delay = min(LOOKUP_DELAY * (1 << min(attempt - 1, 16)), LONGEST_LOOKUP_DELAY)
    for kind, stripe_id in batch.to_refresh_again - batch.to_refresh:
        yield refresh_job(kind, stripe_id, at=now + delay, attempt=attempt + 1)
    for kind, stripe_id, changed_at in batch.to_look_up:
        yield lookup_job(kind, stripe_id, changed_at, at=now + LOOKUP_DELAY)
