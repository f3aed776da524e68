"""Deferring background jobs: rows of the same database, so a job exists exactly if its transaction committed."""

from datetime import datetime

from procrastinate import App, SyncPsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.types import JSONValue
from sqlalchemy.orm import Session

DRAIN_INBOX = "gateway.drain_inbox"
REFRESH = "gateway.refresh"
FINISH_CHANGE = "gateway.finish_change"

# Only ever used on the session's own connection: its own pool is never opened.
_app = App(connector=SyncPsycopgConnector())


def defer(
    session: Session,
    task: str,
    *,
    queueing_lock: str | None = None,
    lock: str | None = None,
    at: datetime | None = None,
    **arguments: JSONValue,
) -> bool:
    """Enqueue ``task`` inside the session's transaction; it is gone with a rollback.

    Returns False if a job with the same ``queueing_lock`` is waiting already: then that one does the work,
    since it has not started and will see what this transaction commits.
    """
    connection = session.connection()
    driver = connection.connection.driver_connection
    job = _app.configure_task(task, queueing_lock=queueing_lock, lock=lock, schedule_at=at, connection=driver)
    try:
        # The savepoint: a conflict of queueing locks would otherwise abort the caller's whole transaction. It is the
        # connection's, since the session would not issue one for statements that it does not see.
        with connection.begin_nested():
            job.defer(**arguments)
    except AlreadyEnqueued:
        return False
    return True
