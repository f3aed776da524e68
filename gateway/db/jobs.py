"""Defers background jobs. A job is a row in the same database, so it exists only if its transaction commits."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple, TypedDict

import orjson
from psycopg.errors import UniqueViolation
from sqlalchemy import func, literal_column, select, text
from sqlalchemy.orm import Session

from gateway.db.prepared import Statement

DRAIN_INBOX = "gateway.drain_inbox"
REFRESH = "gateway.refresh"
FILL_MIRROR = "gateway.fill_mirror"
FIND_CUSTOMER = "gateway.find_customer"
LOOK_UP = "gateway.look_up"
PRUNE_INBOX = "gateway.prune_inbox"
CHECK_ENDPOINT = "gateway.check_endpoint"
FINISH_CHANGE = "gateway.finish_change"
FINISH_INTENT = "gateway.finish_intent"
CHECK_CHARGE = "gateway.check_charge"
WITHDRAW_CREDITS = "gateway.withdraw_credits"
WITHDRAW_FOREIGN_CREDITS = "gateway.withdraw_foreign_credits"
DETACH_SURPLUS = "gateway.detach_surplus"
CHOOSE_FIRST_METHOD = "gateway.choose_first_method"
RETURN_TO_FLOOR = "gateway.return_to_floor"
DELIVER_NOTIFICATIONS = "gateway.deliver_notifications"
WALK_GAP = "gateway.walk_gap"
WALK_DRIFT = "gateway.walk_drift"
COMPLETE_ADOPTIONS = "gateway.complete_adoptions"
CALCULATE_CHARGES = "gateway.calculate_charges"
END_GRANTS = "gateway.end_grants"
SEND_USAGE = "gateway.send_usage"
NOTE_REFUSED_USAGE = "gateway.note_refused_usage"
FOLLOW_LEVELS = "gateway.follow_levels"
CHECK_SPEND = "gateway.check_spend"
BILL_USAGE = "gateway.bill_usage"
RECOUNT_USAGE = "gateway.recount_usage"

PRIORITIES: Mapping[str, int] = MappingProxyType({DRAIN_INBOX: 1, SEND_USAGE: 1})
"""The tasks that workers take before all others, which have the priority 0.

Each of them is one job for all that waits. So it takes one place of a worker only, and would otherwise wait behind
thousands of refreshes.
"""

# Procrastinate has a partial index for each half.
QUEUEING_LOCK_STATE = text("""
    SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE queueing_lock = :lock AND status = 'todo'),
        EXISTS (SELECT FROM procrastinate_jobs
            WHERE queueing_lock = :lock AND status = 'doing' AND worker_id IS NOT NULL)
""")

# The rows are locked in the order of their queueing locks, so that two transactions cannot deadlock here. A job that a
# worker takes in the meantime is not deleted, because PostgreSQL reads its status again when it has locked the row.
WAITING = Statement(
    text("""
    WITH wanted AS (
        SELECT queueing_lock, due
        FROM unnest(CAST(:locks AS text[]), CAST(:times AS timestamptz[])) AS wanted (queueing_lock, due)
    ), too_late AS (
        SELECT job.id FROM procrastinate_jobs AS job JOIN wanted USING (queueing_lock)
        WHERE job.status = 'todo' AND job.scheduled_at > COALESCE(wanted.due, now())
        ORDER BY queueing_lock FOR UPDATE OF job
    ), deleted AS (
        DELETE FROM procrastinate_jobs AS job USING too_late WHERE job.id = too_late.id RETURNING job.id
    )
    SELECT job.queueing_lock FROM procrastinate_jobs AS job JOIN wanted USING (queueing_lock)
    WHERE job.status = 'todo' AND job.id NOT IN (SELECT id FROM deleted)
""")
)

# Workers delete the jobs that succeeded and keep those that failed. So a periodic task's last run succeeded if its job
# is gone.
FORGET_FAILURES = text("""
    DELETE FROM procrastinate_jobs AS job
    USING procrastinate_events AS failure, procrastinate_periodic_defers AS turn
    WHERE job.status = 'failed' AND failure.job_id = job.id AND failure.type = 'failed'
        AND turn.task_name = job.task_name AND failure.at < to_timestamp(turn.defer_timestamp)
        AND (turn.job_id IS NULL OR turn.task_name = :running)
""")

# Procrastinate's own Python code calls the same function. It takes three times as long, because it makes new adapters
# of psycopg for each call. It would also take 3 MiB of each web process, which runs no jobs.
ENQUEUE = Statement(
    select(func.procrastinate_defer_jobs_v1(func.array_agg(literal_column("job")))).select_from(
        text("jsonb_populate_recordset(NULL::procrastinate_job_to_defer_v1, CAST(:jobs AS jsonb)) AS job")
    )
)
QUEUEING_LOCKS = "procrastinate_jobs_queueing_lock_idx_v1"
"""The unique index that lets one job wait under a queueing lock."""


class NewJob(TypedDict):
    """A value of PostgreSQL's type ``procrastinate_job_to_defer_v1``."""

    queue_name: str
    task_name: str
    priority: int
    lock: str | None
    queueing_lock: str | None
    args: dict[str, str | int]
    scheduled_at: datetime | None


class Wanted(NamedTuple):
    """A job to enqueue. At most one job waits under each ``queueing_lock``, however many callers request it."""

    queueing_lock: str
    task: str
    arguments: Mapping[str, str | int]
    lock: str | None = None
    at: datetime | None = None


def withdrawal_job(organization_id: str, at: datetime | None = None) -> Wanted:
    """Build the job that withdraws the credits of an organization's changes, also of those made in the dashboard.

    The worker continues in ``plan_changes.unpaid_credits.withdraw_for_organization``.
    """
    key = f"withdraw_foreign_credits:{organization_id}"
    return Wanted(key, WITHDRAW_FOREIGN_CREDITS, {"organization_id": organization_id}, at=at)


def recount_job(organization_id: str, version: int, at: datetime) -> Wanted:
    """Build the job that bills the usage since a plan began at Stripe, if the gateway learned of it later.

    The worker continues in ``usage.recount``. ``version`` is that of the plan history's entry.
    """
    key = f"recount_usage:{organization_id}:{version}"
    return Wanted(key, RECOUNT_USAGE, {"organization_id": organization_id, "version": version}, at=at)


def defer_usage_bill(session: Session, change_id: str) -> None:
    """Enqueue the job that bills what Stripe has not billed of a plan that an organization has left.

    The worker continues in ``plan_changes.unbilled_usage``, one job of a change at a time.
    """
    defer(session, BILL_USAGE, {"change_id": change_id}, lock=f"bill_usage:{change_id}")


def standing(session: Session, queueing_lock: str) -> tuple[bool, bool]:
    """Return whether a job with this queueing lock is waiting, and whether one is running.

    This query is cheaper than a ``defer`` that runs into the queueing lock.
    """
    waits, runs = session.execute(QUEUEING_LOCK_STATE, {"lock": queueing_lock}).one()
    return waits, runs


def defer(
    session: Session,
    task: str,
    arguments: Mapping[str, str | int] = MappingProxyType({}),
    *,
    queueing_lock: str | None = None,
    lock: str | None = None,
    at: datetime | None = None,
) -> bool:
    """Enqueue ``task`` in the session's transaction. A rollback removes it again.

    Return False if a job with the same ``queueing_lock`` is already waiting. That job does the work if the caller
    committed its data before this call. Otherwise the next periodic run, within a minute, must find the data.
    """
    return insert(session, [job_of(task, arguments, queueing_lock, lock, at)])


def defer_all(session: Session, wanted: Iterable[Wanted]) -> None:
    """Enqueue many jobs, with two statements for any number of jobs. At most one job waits under a queueing lock.

    The first statement finds the jobs that are already waiting, and deletes those that would start too late. So a job
    that is wanted now does not wait for the time of an earlier request. One INSERT enqueues the others. If another
    transaction enqueues one of them between the two, this function enqueues them one by one. Of two jobs with the same
    queueing lock, the earlier one wins.
    """
    # Without the sorting, two transactions that want the same jobs could deadlock on the queueing locks.
    by_lock = {each.queueing_lock: each for each in sorted(wanted, key=enqueuing_order)}
    if not insert(session, missing_jobs(session, by_lock)):
        for each in by_lock.values():
            insert(session, missing_jobs(session, {each.queueing_lock: each}))


def enqueuing_order(wanted: Wanted) -> tuple[str, float]:
    """Return the key that sorts jobs by queueing lock, and the earliest of a lock last."""
    return wanted.queueing_lock, math.inf if wanted.at is None else -wanted.at.timestamp()


def missing_jobs(session: Session, by_lock: Mapping[str, Wanted]) -> list[NewJob]:
    """Return the jobs for which no waiting job starts in time. Delete the waiting ones that would start too late."""
    if not by_lock:
        return []
    values = {"locks": list(by_lock), "times": [each.at for each in by_lock.values()]}
    waiting = {queueing_lock for (queueing_lock,) in WAITING.execute_in(session, values)}
    new = [each for queueing_lock, each in by_lock.items() if queueing_lock not in waiting]
    return [job_of(each.task, each.arguments, each.queueing_lock, each.lock, each.at) for each in new]


def job_of(
    task: str, arguments: Mapping[str, str | int], queueing_lock: str | None, lock: str | None, at: datetime | None
) -> NewJob:
    """Return a job to insert."""
    return {
        "queue_name": "default",
        "task_name": task,
        "priority": PRIORITIES.get(task, 0),
        "lock": lock,
        "queueing_lock": queueing_lock,
        "args": dict(arguments),
        "scheduled_at": at,
    }


def insert(session: Session, jobs: Sequence[NewJob]) -> bool:
    """Insert all jobs in this order, or none. Return False if a waiting job holds one of the queueing locks."""
    if not jobs:
        return True
    connection = session.connection()
    try:
        # Without the savepoint, a conflict of queueing locks would abort the caller's whole transaction. The session
        # need not flush and forget its objects for it, so the connection issues it.
        with connection.begin_nested() if any(job["queueing_lock"] for job in jobs) else nullcontext():
            ENQUEUE.execute_in(session, {"jobs": orjson.dumps(jobs).decode()})
    except UniqueViolation as error:
        if error.diag.constraint_name != QUEUEING_LOCKS:
            raise
        return False
    return True


def unfinished(session: Session, locks: Collection[str]) -> set[str]:
    """Return the ``locks`` under which a job is waiting or running."""
    query = text(
        "SELECT lock FROM procrastinate_jobs WHERE status IN ('todo', 'doing') AND lock = ANY(CAST(:locks AS text[]))"
    )
    return set(session.scalars(query, {"locks": list(locks)}))


def forget_failures(session: Session, running: str) -> None:
    """Delete the failed jobs of periodic tasks that succeeded in a later run. No operator has to look at them any more.

    ``running`` is the calling task. Its own job still exists, but its current run counts as a success.
    """
    session.execute(FORGET_FAILURES, {"running": running})
