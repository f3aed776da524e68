"""``gateway reconcile`` and the jobs run both walks, report differences and set the exit status."""

import json

import pytest
import stripe
from click.testing import CliRunner, Result
from sqlalchemy import text

from gateway.cli import cli
from gateway.db import jobs
from gateway.db.models import Reconciliation
from gateway.sandbox import Sandbox
from gateway.services.reconciliation import drift
from gateway.tasks import build_worker
from tests.support.clock import StripeTime
from tests.support.commands import use_settings
from tests.support.plans import settled_on_plus
from tests.support.reconciliation import drop_webhooks, set_quantity_at_stripe, tables
from tests.support.world import World


@pytest.fixture
def drifted(world: World, sandbox: Sandbox, stripe_time: StripeTime, monkeypatch: pytest.MonkeyPatch) -> World:
    """Change a subscription without a webhook, and set the environment of the command."""
    settled_on_plus(world)
    drop_webhooks(world, sandbox)
    stripe_time.ahead = 60
    set_quantity_at_stripe(world, 7)
    stripe_time.ahead = 120
    use_settings(monkeypatch, world.gateway.config)
    return world


def run(*options: str) -> Result:
    return CliRunner().invoke(cli, ["reconcile", *options])


def test_lost_change_is_found_applied_and_reported(drifted: World) -> None:
    result = run()
    assert result.exit_code == 0, result.output
    assert "put into the inbox" in result.stdout
    assert result.stdout.splitlines()[-1] == "In order."
    assert drifted.plan_row().quantity == 7
    again = json.loads(run("--json").stdout)
    assert (again["in_order"], again["gap"].get("missing", 0), again["differences"]) == (True, 0, [])


def test_dry_run_reports_the_same_and_writes_nothing(drifted: World) -> None:
    before = tables(drifted)
    dry = run("--dry-run", "--json")
    assert tables(drifted) == before
    report = json.loads(dry.stdout)
    [difference] = report["differences"]
    assert (difference["class"], difference["done"], difference["organization"]) == (
        "dashboard_edit",
        "would_heal",
        "org_1",
    )
    assert [each["stripe"] for name, each in difference["fields"].items() if name.endswith("quantity")] == [7]
    assert "would be healed" in run("--dry-run").stdout


def test_unhealed_difference_sets_the_exit_status(drifted: World) -> None:
    with drifted.gateway.database.transaction() as session:
        session.execute(text("UPDATE plans SET key = NULL"))  # pretend that the catalogue has lost its plans
    result = run()
    assert result.exit_code == 1
    assert "unmapped" in result.stdout
    assert result.stdout.splitlines()[-1] == "NOT in order."


@pytest.mark.usefixtures("drifted")
def test_progress_goes_to_standard_error() -> None:
    result = run("--json")
    assert "events: " in result.stderr
    json.loads(result.stdout)


def walk_as_jobs(world: World) -> None:
    worker = build_worker(world.gateway)
    worker.periodic_registry.periodic_tasks.clear()  # this function enqueues the walks itself
    with worker.open():
        for task in (jobs.WALK_GAP, jobs.WALK_DRIFT):
            worker.tasks[task].defer(timestamp=0)
        worker.run_worker(wait=False, listen_notify=False, install_signal_handlers=False)


def failed_jobs(world: World) -> list[str]:
    with world.gateway.database.transaction() as session:
        return list(session.scalars(text("SELECT task_name FROM procrastinate_jobs WHERE status = 'failed'")))


def test_walks_run_as_jobs_and_drift_once_a_day(drifted: World) -> None:
    walk_as_jobs(drifted)
    assert drifted.plan_row().quantity == 7
    assert {row.kind for row in drifted.rows(Reconciliation) if row.finished_at is not None} == {"gap", "drift"}
    assert not drift.is_due(drifted.gateway)


def test_stripe_outage_postpones_the_walks_without_failed_jobs(drifted: World) -> None:
    drifted.fault("error_before", times=10_000)
    for _ in range(2):
        walk_as_jobs(drifted)
    assert failed_jobs(drifted) == []
    assert [(row.kind, row.finished_at) for row in drifted.rows(Reconciliation)] == [("gap", None), ("drift", None)]
    drifted.end_faults()
    walk_as_jobs(drifted)
    assert all(row.finished_at is not None for row in drifted.rows(Reconciliation))
    assert drifted.plan_row().quantity == 7


def test_walks_that_stripe_refuses_are_failed_jobs(drifted: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drifted.gateway.stripe, "raw_request", lambda *_, **__: refuse())
    walk_as_jobs(drifted)
    assert sorted(failed_jobs(drifted)) == [jobs.WALK_DRIFT, jobs.WALK_GAP]


def refuse() -> None:
    raise stripe.PermissionError


def test_interrupted_drift_walk_is_due_immediately(drifted: World) -> None:
    next(drift.walk(drifted.gateway))
    assert drift.is_due(drifted.gateway)
