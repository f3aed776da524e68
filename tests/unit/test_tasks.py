"""The schedules and priorities of the worker's tasks."""

from gateway.app import build_gateway
from gateway.db import jobs
from gateway.tasks import build_worker
from tests.support.config import config

URL = "postgresql://nobody@127.0.0.1:1/nothing"


def test_each_periodic_task_has_its_schedule() -> None:
    worker = build_worker(build_gateway(config(database_url=URL)))
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


def test_drains_and_usage_do_not_wait_behind_other_jobs() -> None:
    worker = build_worker(build_gateway(config(database_url=URL)))
    by_the_clock = {name: task.priority for name, task in worker.tasks.items() if name.startswith("gateway.")}
    requested = {name: jobs.job_of(name, {}, None, None, None)["priority"] for name in by_the_clock}
    assert by_the_clock == requested
    assert {name for name, priority in requested.items() if priority > 0} == {jobs.DRAIN_INBOX, jobs.SEND_USAGE}
