"""A periodic job that lacks the database leaves its work to the next run. Any other failure stays a failure."""

import asyncio
from typing import Any

import pytest
from procrastinate import JobContext
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job

from gateway.app import build_gateway
from gateway.commands.worker import leave_to_next_run
from gateway.db import jobs
from gateway.errors import DatabaseUnavailable
from gateway.tasks import build_worker
from tests.support.config import config


def run(task: str, error: Exception) -> None:
    app = build_worker(build_gateway(config(database_url="postgresql://nobody@127.0.0.1:1/nothing")))
    job = Job(id=1, queue="default", lock=None, queueing_lock=None, task_name=task)
    context = JobContext(app=app, job=job, start_timestamp=0, abort_reason=lambda: None)

    async def fail() -> Any:
        raise error

    asyncio.run(leave_to_next_run(fail, context, None))


def test_periodic_job_without_the_database_does_not_fail() -> None:
    for task in (jobs.DRAIN_INBOX, jobs.PRUNE_INBOX, jobs.END_GRANTS):
        run(task, DatabaseUnavailable("away"))


@pytest.mark.parametrize(
    ("task", "error"),
    [
        (jobs.DRAIN_INBOX, ZeroDivisionError()),
        (jobs.DRAIN_INBOX, ConnectorException()),  # its cause is no outage
        (jobs.FINISH_CHANGE, DatabaseUnavailable("away")),
    ],
)
def test_every_other_failure_stays_one(task: str, error: Exception) -> None:
    with pytest.raises(type(error)):
        run(task, error)
