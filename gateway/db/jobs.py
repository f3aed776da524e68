"""Deferring background jobs: rows of the same database, so a job exists exactly if its transaction committed."""

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
LOOK_UP = "gateway.look_up"
PRUNE_INBOX = "gateway.prune_inbox"
CHECK_ENDPOINT = "gateway.check_endpoint"
FINISH_CHANGE = "gateway.finish_change"
CHECK_CHARGE = "gateway.check_charge"
DELIVER_INQUIRY = "gateway.deliver_inquiry"
WALK_GAP = "gateway.walk_gap"
WALK_DRIFT = "gateway.walk_drift"

# Each half is answered by a partial index of Procrastinate's.
STANDING = text("""
    SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE queueing_lock = :lock AND status = 'todo'),
        EXISTS (SELECT FROM procrastinate_jobs
            WHERE queueing_lock = :lock AND status = 'doing' AND worker_id IS NOT NULL)
""")

WAITING = text("""
    SELECT queueing_lock FROM procrastinate_jobs
    WHERE queueing_lock = ANY(CAST(:locks AS text[])) AND status = 'todo'
""")

# A periodic task's last turn went well if its job is gone: workers delete what succeeded, and keep what failed.
FORGET_FAILURES = text("""
    DELETE FROM procrastinate_jobs AS job
    USING procrastinate_events AS failure, procrastinate_periodic_defers AS turn
    WHERE job.status = 'failed' AND failure.job_id = job.id AND failure.type = 'failed'
        AND turn.task_name = job.task_name AND failure.at < to_timestamp(turn.defer_timestamp)
        AND (turn.job_id IS NULL OR turn.task_name = :running)
""")

# Only ever used on the session's own connection: its own pool is never opened.
_app = App(connector=SyncPsycopgConnector())


class Wanted(NamedTuple):
    """A job of which one is to wait, however many ask for it."""

    queueing_lock: str
    task: str
    arguments: Mapping[str, str | int]
    lock: str | None = None
    at: datetime | None = None


def standing(session: Session, queueing_lock: str) -> tuple[bool, bool]:
    """Whether a job with this queueing lock waits to be started, and whether one runs.

    It is cheaper to ask than to be refused by ``defer``.
    """
    waits, runs = session.execute(STANDING, {"lock": queueing_lock}).one()
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
    """Enqueue ``task`` inside the session's transaction; it is gone with a rollback.

    Returns False if a job with the same ``queueing_lock`` is waiting already. That one does the work, provided that
    what it should find was committed before this call, or is found by what runs each minute anyway.
    """
    return insert(session, [job_of(task, arguments, queueing_lock, lock, at)])


def defer_all(session: Session, wanted: Iterable[Wanted]) -> None:
    """Enqueue many jobs as ``defer`` does each, with a number of statements that does not depend on how many they are.

    One query finds those that wait already, one INSERT enqueues the others. Only if somebody has enqueued one of them
    in between, they are inserted one by one. Of several under the same queueing lock the last one is taken.
    """
    # Sorted: two transactions that want the same jobs wait for each other's queueing locks instead of deadlocking.
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
    """A job as Procrastinate knows it."""
    return _app.configure_task(
        task, queueing_lock=queueing_lock, lock=lock, schedule_at=at, task_kwargs=dict(arguments)
    ).job


def insert(session: Session, jobs: Sequence[Job]) -> bool:
    """Insert all, in this order, or none: False if the queueing lock of one of them is held by a job that waits."""
    connection = session.connection()
    try:
        # The savepoint: a conflict of queueing locks would otherwise abort the caller's whole transaction. It is the
        # connection's, since the session would not issue one for statements that it does not see.
        with connection.begin_nested() if any(job.queueing_lock for job in jobs) else nullcontext():
            _app.job_manager.batch_defer_jobs(list(jobs), connection=connection.connection.driver_connection)
    except AlreadyEnqueued:
        return False
    except ConnectorException as error:
        if is_outage(error.__cause__):
            raise DatabaseUnavailable("The database cannot be reached; please try again.") from error
        raise
    return True


def unfinished(session: Session, locks: Collection[str]) -> set[str]:
    """Those of ``locks`` under which a job waits or runs."""
    query = text(
        "SELECT lock FROM procrastinate_jobs WHERE status IN ('todo', 'doing') AND lock = ANY(CAST(:locks AS text[]))"
    )
    return set(session.scalars(query, {"locks": list(locks)}))


def forget_failures(session: Session, running: str) -> None:
    """Delete the failed jobs of periodic tasks of which a later turn went well: nobody has to look at them any more.

    ``running``: the task that asks, whose own turn is still there, and counts as one that went well.
    """
    session.execute(FORGET_FAILURES, {"running": running})
