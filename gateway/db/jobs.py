"""Defers background jobs. A job is a row in the same database, so it exists only if its transaction commits."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from procrastinate import App, SyncPsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Job
from sqlalchemy import text
from sqlalchemy.orm import Session

from gateway.db.session import is_outage
from gateway.errors import DatabaseUnavailable

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
DELIVER_INQUIRY = "gateway.deliver_inquiry"
WALK_GAP = "gateway.walk_gap"
WALK_DRIFT = "gateway.walk_drift"
COMPLETE_ADOPTIONS = "gateway.complete_adoptions"
END_GRANTS = "gateway.end_grants"

# Procrastinate has a partial index for each half.
QUEUEING_LOCK_STATE = text("""
    SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE queueing_lock = :lock AND status = 'todo'),
        EXISTS (SELECT FROM procrastinate_jobs
            WHERE queueing_lock = :lock AND status = 'doing' AND worker_id IS NOT NULL)
""")

WAITING = text("""
    SELECT queueing_lock FROM procrastinate_jobs
    WHERE queueing_lock = ANY(CAST(:locks AS text[])) AND status = 'todo'
""")

# Workers delete the jobs that succeeded and keep those that failed. So a periodic task's last run succeeded if its job
# is gone.
FORGET_FAILURES = text("""
    DELETE FROM procrastinate_jobs AS job
    USING procrastinate_events AS failure, procrastinate_periodic_defers AS turn
    WHERE job.status = 'failed' AND failure.job_id = job.id AND failure.type = 'failed'
        AND turn.task_name = job.task_name AND failure.at < to_timestamp(turn.defer_timestamp)
        AND (turn.job_id IS NULL OR turn.task_name = :running)
""")

# Every call passes the session's own connection, so this app never opens its own pool.
_app = App(connector=SyncPsycopgConnector())


class Wanted(NamedTuple):
    """A job to enqueue. At most one job waits under each ``queueing_lock``, however many callers request it."""

    queueing_lock: str
    task: str
    arguments: Mapping[str, str | int]
    lock: str | None = None
    at: datetime | None = None


def withdrawal_job(organization_id: str, at: datetime | None = None) -> Wanted:
    """Build the job that withdraws the credits of changes that somebody made at Stripe.

    The worker continues in ``plan_changes.unpaid_credits.withdraw_foreign_credits``.
    """
    key = f"withdraw_foreign_credits:{organization_id}"
    return Wanted(key, WITHDRAW_FOREIGN_CREDITS, {"organization_id": organization_id}, at=at)


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
    """Enqueue many jobs as ``defer`` does, with two statements for any number of jobs.

    One query finds the jobs that are already waiting, and one INSERT enqueues the others. If another transaction
    enqueues one of them between the two, this function inserts them one by one. The last job of a queueing lock wins.
    """
    # Without the sorting, two transactions that want the same jobs could deadlock on the queueing locks.
    by_lock = {each.queueing_lock: each for each in sorted(wanted, key=lambda each: each.queueing_lock)}
    waiting = set(session.scalars(WAITING, {"locks": list(by_lock)})) if by_lock else set()
    new = [each for queueing_lock, each in by_lock.items() if queueing_lock not in waiting]
    jobs = [job_of(each.task, each.arguments, each.queueing_lock, each.lock, each.at) for each in new]
    if jobs and not insert(session, jobs):
        for job in jobs:
            insert(session, [job])


def job_of(
    task: str, arguments: Mapping[str, str | int], queueing_lock: str | None, lock: str | None, at: datetime | None
) -> Job:
    """Return Procrastinate's object for a job."""
    return _app.configure_task(
        task, queueing_lock=queueing_lock, lock=lock, schedule_at=at, task_kwargs=dict(arguments)
    ).job


def insert(session: Session, jobs: Sequence[Job]) -> bool:
    """Insert all jobs in this order, or none. Return False if a waiting job holds one of the queueing locks."""
    connection = session.connection()
    try:
        # Without the savepoint, a conflict of queueing locks would abort the caller's whole transaction. The session
        # does not see these statements and would issue no savepoint for them, so the connection issues it.
        with connection.begin_nested() if any(job.queueing_lock for job in jobs) else nullcontext():
            _app.job_manager.batch_defer_jobs(list(jobs), connection=connection.connection.driver_connection)
    except AlreadyEnqueued:
        return False
    except ConnectorException as error:
        if is_outage(error.__cause__):
            raise DatabaseUnavailable("The database cannot be reached. Please try again.") from error
        raise
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
