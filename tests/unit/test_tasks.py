"""What the worker does by the clock."""

from gateway.app import build_gateway
from gateway.db import jobs
from gateway.tasks import build_worker
from tests.support.config import config


def test_each_periodic_task_has_its_turns() -> None:
    url = "postgresql://nobody@127.0.0.1:1/nothing"
    worker = build_worker(build_gateway(config(database_url=url)))
    turns = {each.task.name: each.cron for each in worker.periodic_registry.periodic_tasks.values()}
    assert turns == {
        jobs.DRAIN_INBOX: "* * * * *",
        jobs.WALK_GAP: "*/5 * * * *",
        jobs.WALK_DRIFT: "42 * * * *",  # at a minute that the database's address gives
        jobs.PRUNE_INBOX: "17 * * * * 35",
        jobs.CHECK_ENDPOINT: "27 * * * *",
        "gateway.retry_stalled_jobs": "* * * * * */10",
    }
