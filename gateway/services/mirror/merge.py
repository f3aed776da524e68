"""Merge states of Stripe's objects. No other code writes Stripe's states to the mirror.

An erasure blanks names in the mirror, and the withdrawal of credits marks its invoices. Grants, downgrades and rebuilds
write the plan table too.

Webhooks, answers, refreshes and reconciliation all end here. The merge locks and reads a batch's rows once, lets
``ordering`` place each snapshot, and writes the changes in bulk. All of it runs in the caller's transaction.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import get_history

from gateway import telemetry
from gateway.db import bulk, jobs
from gateway.db.models import Charge, Invoice, Mirrored, PaymentMethod
from gateway.services.backoff import compute_wait
from gateway.services.mirror.announcements import describe_changes
from gateway.services.mirror.batch import Batch
from gateway.services.mirror.dependents import find_surplus_methods, find_unknown_payment_methods
from gateway.services.mirror.outcome import Outcome
from gateway.services.mirror.refresh_jobs import fill_job, lookup_job, refresh_job, surplus_job
from gateway.services.mirror.tables import KINDS
from gateway.services.notifications.outbox import NOTIFICATIONS, build_rows
from gateway.services.plan_table import writer
from gateway.services.plan_table.lost_changes import restore_lost_changes
from gateway.services.plan_table.trials import find_trialing, first_method_job, record_trials
from gateway.stripe_api.snapshots import Observation, PaymentMethodSnapshot, Reference
from gateway.stripe_api.times import from_unix

ANY_STATE = from_unix(0)
"""The time of change to pass for an object whose state may have any age."""
MERGE_ORDER = {kind: position for position, kind in enumerate(KINDS)}
# Stripe reports most changes with several events within moments. One of them usually shows the object, so the wait
# saves most lookups.
LOOKUP_DELAY, LONGEST_LOOKUP_DELAY = timedelta(seconds=10), timedelta(hours=1)
# Shorter, because Plan Details show no payment method until then.
PAYMENT_METHOD_DELAY = timedelta(seconds=2)


def merge(session: Session, observations: Sequence[Observation], now: datetime, *, attempt: int = 1) -> list[Outcome]:
    """Merge the observations into mirror, plan table, history and outbox, and return their outcomes in the same order.

    This transaction also enqueues jobs. They refresh objects whose states cannot be ordered, and objects that events
    only refer to. ``refresh.run_refresh_job`` and ``refresh.defer_refresh_if_outdated`` continue there. Other jobs
    withdraw the credits that waited for an invoice, once it is no longer a draft, or for an invoice whose money went
    back, also by a credit note.

    ``now`` dates the history. ``attempt`` counts how often in a row these objects were retrieved from Stripe.
    """
    batch = Batch(session, observations)
    positions = sorted(range(len(observations)), key=lambda i: batch_sort_key(observations[i]))
    with telemetry.span("merge"), session.no_autoflush:
        outcomes = {position: batch.apply_observation(observations[position]) for position in positions}
        plans = batch.build_plans()
        restore_lost_changes(session, observations, batch.by_customer, batch.organization_rows, plans, now)
        written, wanted = writer.update_plan_table(session, batch.affected, batch.organization_rows, plans, now)
        in_order = [observations[position] for position in positions]  # as it happened, and not as it arrived
        changed = build_rows(session, describe_changes(in_order, batch.rows), now)
        written = {**written, NOTIFICATIONS: [*written.get(NOTIFICATIONS, ()), *changed]}
        record_trials(session, [batch.by_customer[each].id for each in batch.to_fill], "adopted", now)
        batch.look_up_undecided_invoices()
        mark_credited(batch.rows.values())
        bulk.flush(session, batch.list_rows(), written)
    surplus = find_surplus_methods(session, observations, batch.by_customer)
    methods = [row for row in batch.rows.values() if isinstance(row, PaymentMethod) and not row.detached]
    trialing = find_trialing(session, {each.organization_id for each in methods})
    jobs.defer_all(
        session,
        [*wanted, *build_jobs(batch, now, attempt), *map(surplus_job, surplus), *map(first_method_job, trialing)],
    )
    return [outcomes[position] for position in range(len(observations))]


def batch_sort_key(observation: Observation) -> tuple[bool, datetime | None, int, bool]:
    """Return the key that sorts snapshots by time, and references after them.

    So a snapshot of the same batch can make a reference's lookup unnecessary. Within a second, snapshots are sorted by
    kind, and of one kind those of a creation come first, because they show who created the object.
    """
    if isinstance(observation, Reference):
        return True, None, 0, False
    return False, observation.seen.as_of, MERGE_ORDER[observation.kind], not observation.seen.is_first


def mark_credited(rows: Iterable[Mirrored]) -> None:
    """Mark the paid invoices that have just got a credit note, so that ``build_jobs`` withdraws their credits.

    The unused time of the period may be credited already, as if the money had stayed.
    """
    for row in rows:
        if isinstance(row, Invoice) and row.status == "paid" and get_history(row, "amount_credited").deleted:
            row.withdrawal_waits = True


def build_jobs(batch: Batch, now: datetime, attempt: int) -> Iterator[jobs.Wanted]:
    """Yield the jobs that refresh an object now, later, or only if it stays outdated, and that fill the mirror."""
    for kind, stripe_id in batch.to_refresh:
        yield refresh_job(kind, stripe_id)
    # The delay grows with each attempt. While Stripe is slow, another slow answer settles nothing.
    delay = compute_wait(LOOKUP_DELAY, LONGEST_LOOKUP_DELAY, doublings=attempt - 1)
    for kind, stripe_id in batch.to_refresh_again - batch.to_refresh:
        yield refresh_job(kind, stripe_id, at=now + delay, attempt=attempt + 1)
    for row in batch.rows.values():
        if isinstance(row, Invoice) and row.withdrawal_waits and row.status != "draft":
            # Not immediately, because Stripe charges an invoice in the moment in which it finalizes it.
            yield jobs.withdrawal_job(row.organization_id, at=now + writer.WITHDRAW_AFTER)
        elif isinstance(row, Charge) and (row.amount_refunded or row.amount_lost):
            # The unused time of the period may be credited already, as if the money had stayed.
            yield jobs.withdrawal_job(row.organization_id)
    for customer_id in batch.to_fill:
        yield fill_job(customer_id)
    for kind, stripe_id, changed_at in batch.to_look_up:
        yield lookup_job(kind, stripe_id, changed_at, at=now + LOOKUP_DELAY)
    for stripe_id in find_unknown_payment_methods(batch.session, batch.named_payment_methods, batch.rows):
        yield lookup_job(PaymentMethodSnapshot.kind, stripe_id, ANY_STATE, at=now + PAYMENT_METHOD_DELAY)
