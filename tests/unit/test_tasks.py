"""The schedules of the worker's periodic tasks."""

from gateway.app import build_gateway
from gateway.db import jobs
from gateway.tasks import build_worker
from tests.support.config import config


def test_each_periodic_task_has_its_schedule() -> None:
    url = "postgresql://nobody@127.0.0.1:1/nothing"
    worker = build_worker(build_gateway(config(database_url=url)))
    schedules = {each.task.name: each.cron for each in worker.periodic_registry.periodic_tasks.values()}
    assert schedules == {
        jobs.DRAIN_INBOX: "* * * * *",
        jobs.WALK_GAP: "*/5 * * * *",
        jobs.WALK_DRIFT: "42 * * * *",  # the minute depends on the database's address
        jobs.COMPLETE_ADOPTIONS: "* * * * *",
        jobs.PRUNE_INBOX: "17 * * * * 35",
        jobs.CHECK_ENDPOINT: "27 * * * *",
        jobs.CALCULATE_CHARGES: "42 * * * *",
        jobs.END_GRANTS: "* * * * *",
        jobs.SEND_USAGE: "* * * * *",
        jobs.FOLLOW_LEVELS: "* * * * *",
        jobs.CHECK_SPEND: "* * * * *",
        "gateway.retry_stalled_jobs": "* * * * * */10",
    }
