"""Web and worker die while they make a downgrade or bill its usage. All usage is billed once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import requests
from sqlalchemy import text

from gateway.db import jobs
from gateway.failpoints import KILLED, Failpoint
from gateway.services.usage.record import record_usage
from schemas.usage import SentEvent
from tests.faults.changes import GOOD, await_end, enrol, interface, let_a_minute_pass
from tests.faults.conftest import NewDatabase
from tests.support.database import write_freely
from tests.support.deployment import Deployment, deployed
from tests.support.documents import ROOT
from tests.support.wait import eventually

BILLED = "SELECT count(*) FROM procrastinate_jobs WHERE task_name = %s AND status <> 'succeeded'"


@pytest.fixture
def own(new_database: NewDatabase, server: str, directory: Path) -> Iterator[Deployment]:
    """Set up a deployment with the shipped catalogue, which has meters."""
    catalog = ROOT / "gateway/catalog.toml"
    with (
        new_database(server) as url,
        TemporaryDirectory(dir=directory) as logs,
        deployed(url, Path(logs), catalog) as set_up,
    ):
        yield set_up


def let_an_hour_pass(stage: Deployment) -> None:
    """Make the changes and the history an hour older."""
    with stage.gateway.database.transaction() as session:
        write_freely(session)
        session.execute(text("UPDATE plan_changes SET created_at = created_at - interval '1 hour'"))
        session.execute(text("UPDATE plan_history SET recorded_at = recorded_at - interval '1 hour'"))


def send_soon(stage: Deployment) -> bool:
    """Make all usage due, and enqueue the job that sends it. Return True."""
    stage.rows("UPDATE usage_reports SET next_attempt_at = now() WHERE state = 'open'")
    with stage.gateway.database.transaction() as session:
        jobs.defer(session, jobs.SEND_USAGE, queueing_lock=jobs.SEND_USAGE)
    return True


@pytest.mark.long
@pytest.mark.parametrize("point", [Failpoint.STRIPE_ANSWERED, Failpoint.ANSWER_MERGED, Failpoint.USAGE_BILLED])
def test_waiting_downgrade_survives_two_deaths(own: Deployment, point: Failpoint) -> None:
    enrol(own, "org_1", GOOD)
    with interface(own, "org_1") as api:
        api.ok("PATCH", "/subscription", plan="plus")
    own.set_at_stripe(usage_lag=3600)
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    record_usage(own.gateway, [SentEvent("e1", "org_1", "api_calls", 100_000, soon)])
    web = own.serve(dying_at=Failpoint.PLAN_LEFT)
    with pytest.raises(requests.ConnectionError):
        own.api("org_1", "DELETE", "/subscription")
    eventually(lambda: f"exited with code {KILLED}" in web.log())
    web.kill()
    assert own.plan("org_1")[0] == "free"
    let_an_hour_pass(own)
    worker = own.work(dying_at=point)
    let_a_minute_pass(own)
    eventually(lambda: worker.status == KILLED)
    own.work()
    let_a_minute_pass(own)
    await_end(own)
    eventually(lambda: own.number(BILLED, jobs.BILL_USAGE) == 0)
    items = own.stripe.v1.invoice_items.list({"limit": 100}).data
    assert [each.amount for each in items if not each.proration] == [200]


@pytest.mark.long
def test_late_usage_of_a_left_plan_is_billed_once_after_a_death(own: Deployment) -> None:
    enrol(own, "org_1", GOOD)
    with interface(own, "org_1") as api:
        api.ok("PATCH", "/subscription", plan="plus")
        let_an_hour_pass(own)
        api.ok("DELETE", "/subscription")
    late = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=30)
    record_usage(own.gateway, [SentEvent("e1", "org_1", "api_calls", 100_000, late)])
    worker = own.work(dying_at=Failpoint.USAGE_BILLED)
    eventually(lambda: send_soon(own) and worker.status == KILLED, interval=0.2)
    own.work()
    let_a_minute_pass(own)
    eventually(lambda: own.number(BILLED, jobs.BILL_USAGE) == 0)
    items = own.stripe.v1.invoice_items.list({"limit": 100}).data
    assert [each.amount for each in items if not each.proration] == [200]
