"""A failover to a standby that is behind loses some seconds. Reconciliation brings back what Stripe knows of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from stripe import Event

from tests.support.catalogs import write_catalog
from tests.support.deployment import Deployment
from tests.support.wait import eventually

CHANGES = "SELECT id, organization_id, state, to_plan, quantity FROM plan_changes"
PLANS = "SELECT organization_id, plan, status, standing, quantity, current_period_end FROM organization_plans"
TRIALS = "SELECT organization_id, reason, change_id FROM trials"


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    return write_catalog(tmp_path / "catalog.toml", trial_days=30)


@contextmanager
def standby(stage: Deployment, server: str) -> Iterator[str]:
    """Copy the database as it is now, and yield the URL of the copy. No process may be connected."""
    url = stage.environment["GATEWAY_DATABASE_URL"]
    name = conninfo_to_dict(url)["dbname"]
    copy = f"{name}_standby"
    stage.gateway.database.close()
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {copy} TEMPLATE {name}".encode())
        yield url.replace(f"/{name}?", f"/{copy}?")
        connection.execute(f"DROP DATABASE {copy} WITH (FORCE)".encode())


def list_events(stage: Deployment) -> Iterator[Event]:
    """Yield all of Stripe's events."""
    return stage.stripe.v1.events.list({"limit": 100}).auto_paging_iter()


def run_until_done(stage: Deployment) -> Callable[[], None]:
    """Start web and worker. Return a function that kills them when every event and job is done."""
    processes = (stage.serve(), stage.work())

    def finish() -> None:
        eventually(lambda: all(each.pending_webhooks == 0 for each in list_events(stage)))
        eventually(stage.all_done)
        for each in processes:
            each.kill()

    return finish


def make_changes(stage: Deployment) -> None:
    """Make every kind of change, some of them in organizations that are new."""
    stage.ok("org_upgraded", "PATCH", "/subscription", plan="plus", quantity=2)
    stage.ok("org_twice", "PATCH", "/subscription", plan="plus", quantity=2)
    stage.ok("org_twice", "PATCH", "/subscription", quantity=5)
    stage.ok("org_canceled", "DELETE", "/subscription")
    stage.enrol("org_new")
    stage.ok("org_new", "PATCH", "/subscription", plan="plus")
    stage.ok("org_trial", "POST", "/subscription")


@pytest.mark.long
def test_reconcile_brings_back_what_a_failover_has_lost(own: Deployment, server: str) -> None:
    finish = run_until_done(own)
    for name in ("org_upgraded", "org_twice", "org_canceled"):
        own.enrol(name)
    own.ok("org_canceled", "PATCH", "/subscription", plan="plus")
    finish()
    with standby(own, server) as url:
        kept = len(own.rows(CHANGES))
        finish = run_until_done(own)
        make_changes(own)
        finish()
        queries = (CHANGES, PLANS, TRIALS)
        before = [sorted(own.rows(query)) for query in queries]
        own.environment["GATEWAY_DATABASE_URL"] = url
        assert len(own.rows(CHANGES)) == kept < len(before[0]), "nothing was lost"

        report = own.command("reconcile", "--json")
        assert report.returncode == 0, report.stdout + report.stderr
        assert [sorted(own.rows(query)) for query in queries] == before
        handled = own.command("events", "types").stdout.split()
        listed = {each.id for each in list_events(own) if each.type in handled}
        assert listed - {each for (each,) in own.rows("SELECT id FROM webhook_events")} == set()

        finish = run_until_done(own)
        own.ok("org_twice", "PATCH", "/subscription", quantity=6)
        finish()
        again = orjson.loads(own.command("reconcile", "--json").stdout)
        assert (again["gap"].get("missing", 0), again["differences"]) == (0, [])
        assert own.plan("org_twice") == ("plus", 6)
