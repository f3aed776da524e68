"""The background jobs that failed and were given up. An operator runs them again when the cause is repaired."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg.errors import UniqueViolation
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from gateway.errors import NotFound
from gateway.services.runtime import Gateway

FAILED = text("""
    SELECT job.id, job.task_name, job.args, job.attempts, max(failure.at)
    FROM procrastinate_jobs AS job
    LEFT JOIN procrastinate_events AS failure ON failure.job_id = job.id AND failure.type = 'failed'
    WHERE job.status = 'failed'
    GROUP BY job.id ORDER BY job.id DESC LIMIT :most
""")
LOCK = text("SELECT id FROM procrastinate_jobs WHERE id = :id AND status = 'failed' FOR UPDATE")
# The function of Procrastinate's own retry. Without a time, the job is due immediately.
RETRY = text("SELECT procrastinate_retry_job_v2(:id, NULL, NULL, NULL, NULL)")
DELETE = text("DELETE FROM procrastinate_jobs WHERE id = :id")


class FailedJob(NamedTuple):
    """A job that failed. Its arguments are ids."""

    id: int
    task: str
    arguments: dict[str, Any]
    attempts: int
    failed_at: datetime | None


def find_failed_jobs(gateway: Gateway, limit: int) -> list[FailedJob]:
    """Return the newest failed jobs, newest first. Raise DatabaseUnavailable."""
    with gateway.database.reading() as session:
        return [FailedJob(*row) for row in session.execute(FAILED, {"most": limit})]


def retry_failed_jobs(gateway: Gateway, job_ids: Sequence[int]) -> None:
    """Let the jobs run once more, all of them or none. A worker takes them within seconds.

    Raise NotFound if one of them is no failed job.
    """
    with gateway.database.transaction() as session:
        for job_id in job_ids:
            if session.scalar(LOCK, {"id": job_id}) is None:
                raise NotFound(f"No failed job has the id {job_id}.")
            retry(session, job_id)


def retry(session: Session, job_id: int) -> None:
    """Let a failed job run once more, or forget it if a job with the same queueing lock waits to do the same work."""
    try:
        with session.begin_nested():
            session.execute(RETRY, {"id": job_id})
    except IntegrityError as error:
        if not isinstance(error.orig, UniqueViolation):
            raise
        session.execute(DELETE, {"id": job_id})
