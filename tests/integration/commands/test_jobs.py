"""An operator sees the jobs that failed, and runs them again when the cause is repaired."""

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from gateway.cli import cli
from gateway.errors import NotFound
from gateway.services.mirror.refresh_jobs import defer_refresh
from tests.support.api import ApiClient
from tests.support.world import World

FIND = "SELECT id, status::text FROM procrastinate_jobs WHERE task_name = 'gateway.refresh' ORDER BY id"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["jobs", *arguments])


def refreshes(world: World) -> list[tuple[int, str]]:
    """Return the ids and states of the refresh jobs, oldest first."""
    with world.gateway.database.transaction() as session:
        return [(job_id, status) for job_id, status in session.execute(text(FIND))]


def want_refresh(world: World) -> None:
    """Let the subscription wait for its refresh."""
    with world.gateway.database.transaction() as session:
        defer_refresh(session, "subscription", world.plan_row().subscription_id or "")


@pytest.fixture
def failed(world: World, api: ApiClient) -> str:
    """Return the id of the failed refresh of a subscription whose new quantity no webhook has shown."""
    api.ok("PATCH", "/subscription", plan="plus")
    world.settle()
    world.fault("webhook_dropped", event="customer.subscription.updated")
    [item] = world.stripe.v1.subscriptions.retrieve(world.plan_row().subscription_id or "")["items"].data
    world.stripe.v1.subscription_items.update(item.id, {"quantity": 7})
    with world.gateway.database.transaction() as session:
        session.execute(text("DELETE FROM procrastinate_jobs"))
    want_refresh(world)
    with world.gateway.database.transaction() as session:
        for status in ("doing", "failed"):  # Procrastinate's triggers note the time of each state
            session.execute(text("UPDATE procrastinate_jobs SET status = :status"), {"status": status})
    [(job_id, _)] = refreshes(world)
    return str(job_id)


@pytest.mark.usefixtures("environment")
def test_failed_job_is_listed_and_runs_again(world: World, failed: str) -> None:
    [line] = run("list").output.splitlines()
    assert {failed, "gateway.refresh"} <= set(line.split())
    assert (world.plan_row().subscription_id or "-") in line
    assert run("retry", failed).output == "1 will run again.\n"
    world.work()
    assert (world.plan_row().quantity, refreshes(world)) == (7, [(int(failed), "succeeded")])
    assert run("list").output == "No failed jobs.\n"


@pytest.mark.usefixtures("environment")
def test_failed_job_is_forgotten_if_another_one_waits_for_its_work(world: World, failed: str) -> None:
    want_refresh(world)
    assert run("retry", failed).exit_code == 0
    [(waiting, status)] = refreshes(world)
    assert (str(waiting) != failed, status) == (True, "todo")


@pytest.mark.usefixtures("environment")
def test_no_job_runs_again_if_one_has_not_failed(world: World, failed: str) -> None:
    refused = run("retry", failed, "999999")
    assert isinstance(refused.exception, NotFound)
    assert "999999" in str(refused.exception)
    assert refreshes(world) == [(int(failed), "failed")]
