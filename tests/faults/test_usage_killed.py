"""SIGKILL and crashes hit web, worker and PostgreSQL, and Stripe fails. Each usage event is still counted once."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import pytest
from psycopg.types.json import Jsonb
from sqlalchemy import text

from gateway.auth import issue_development_token
from gateway.db import jobs
from gateway.services.usage.record import record_usage
from schemas.usage import SentEvent
from tests.faults.burst import Burst
from tests.faults.changes import GOOD, enrol, interface
from tests.faults.conftest import NewDatabase
from tests.support.database import write_freely
from tests.support.deployment import Deployment, deployed
from tests.support.documents import ROOT
from tests.support.postgres import Crashing
from tests.support.processes import Process
from tests.support.usage import counted_usage
from tests.support.wait import eventually

METER_EVENTS = "/v2/billing/meter_events"
FAILURES = ("rate_limit", "error_before", "error_after", "response_lost")
MAKE_DUE = """
    UPDATE usage_reports SET next_attempt_at = now() WHERE state IN ('open', 'sending') AND organization_id = ANY(%s)
    RETURNING id
"""
ORGANIZATION = "INSERT INTO organizations (id, stripe_customer_id, created_at) VALUES (%s, %s, now())"
ON_PLUS = """
    INSERT INTO plan_history (organization_id, version, cause, after, recorded_at)
    VALUES (%s, %s, 'test', %s, now() - interval '1 day')
"""
HOURS = 5  # from which events come, because each hour has its own reports


@pytest.fixture(scope="module")
def server(postgres: Crashing) -> str:
    """Return the URL of the server that tests may crash, instead of the shared one."""
    return postgres.url


@pytest.fixture
def own(new_database: NewDatabase, server: str, directory: Path) -> Iterator[Deployment]:
    """Set up a deployment with the shipped catalogue, which has meters."""
    with (
        new_database(server) as url,
        TemporaryDirectory(dir=directory) as logs,
        deployed(url, Path(logs), ROOT / "gateway/catalog.toml") as set_up,
    ):
        yield set_up


def put_on_plus(stage: Deployment, count: int) -> list[str]:
    """Store organizations that have been on Plus for a day, with a customer at Stripe. Return their ids."""
    ids = [f"org_{number}" for number in range(count)]
    for each in ids:
        customer = stage.stripe.v1.customers.create({}).id
        stage.rows(ORGANIZATION, each, customer)
        stage.rows(ON_PLUS, each, 1, Jsonb({"requested_plan": "plus"}))
    return ids


def build_batches(stage: Deployment, organizations: Sequence[str], batches: int, size: int) -> Iterator[bytes]:
    """Yield requests with a batch of events each. The last event of a batch is also the first one of the next."""
    token = issue_development_token(stage.gateway.config, None, datetime.now(UTC), scopes=("usage:write",))
    head = (
        f"POST /v1/usage HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json"
    )
    times = [(datetime.now(UTC) - timedelta(hours=each)).isoformat() for each in range(HOURS)]
    for first in range(0, batches * (size - 1), size - 1):
        events = [
            {
                "id": f"event-{number}",
                "organization_id": organizations[number % len(organizations)],
                "meter": "api_calls",
                "quantity": quantity_of(number),
                "occurred_at": times[number // len(organizations) % HOURS],
            }
            for number in range(first, first + size)
        ]
        body = orjson.dumps({"events": events})
        yield f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def quantity_of(number: int) -> int:
    return number % 7


def hash_of(request: bytes) -> str:
    return str(hash(request))


def send_now(stage: Deployment, organizations: Sequence[str]) -> bool:
    """Return whether their usage was sent. Otherwise make it due, as time does, and enqueue the job that sends it."""
    waiting = stage.rows(MAKE_DUE, organizations)
    if waiting:
        with stage.gateway.database.transaction() as session:
            jobs.defer(session, jobs.SEND_USAGE, queueing_lock=jobs.SEND_USAGE)
    return not waiting


def hold_a_report(stage: Deployment, organization: str) -> None:
    """Let Stripe take the reports, and keep one answer back. When the test ends the faults, Stripe counts that report.

    Stripe answers a report that it has counted without delay, so each call needs another organization.
    """
    stage.fault("delay", path=METER_EVENTS, seconds=60)
    assert not send_now(stage, [organization]), "all usage was sent already"
    eventually(lambda: stage.faults()[0]["fired"] == 1)


def fail_to_record(stage: Deployment, worker: Process) -> None:
    """Let Stripe answer while the database is away, and wait until the worker has noticed."""
    failed = count_failed_jobs(worker)
    stage.end_faults()
    eventually(lambda: count_failed_jobs(worker) > failed)


def count_failed_jobs(worker: Process) -> int:
    """Return how many jobs that send usage have ended because the database was away."""
    lines = worker.log().splitlines()
    return sum("DatabaseUnavailable" in line and jobs.SEND_USAGE in line and "job_ended" in line for line in lines)


def send(burst: Burst, batches: int) -> None:
    """Begin to send, and return when the gateway has accepted some batches."""
    goal = len(burst.acknowledged) + batches
    burst.start()
    eventually(lambda: len(burst.acknowledged) > goal, 300)
    assert burst.waiting > burst.in_flight, "the burst ended too early"


def await_refusals(burst: Burst) -> None:
    refused = burst.refusals[503]
    eventually(lambda: burst.refusals[503] > refused)


@pytest.mark.long
@pytest.mark.parametrize(("batches", "size", "rounds"), [(60, 50, 1), (1_001, 1_000, 6)])
def test_usage_is_counted_once_whatever_dies(
    own: Deployment, postgres: Crashing, batches: int, size: int, rounds: int
) -> None:
    web, worker = own.serve(), own.work()
    organizations = put_on_plus(own, 2 * rounds + 2)
    part = batches // (2 * rounds + 1)
    with Burst(own.port, list(build_batches(own, organizations, batches, size)), hash_of) as burst:
        for _ in range(rounds):
            cut = burst.cut
            send(burst, part)
            web.kill()
            worker.kill()
            burst.stop()
            assert burst.cut > cut, "no request was in flight"
            web, worker = own.serve(), own.work()
            send(burst, part)
            with postgres.crashed():
                await_refusals(burst)
            burst.stop()
        burst.finish(600)
    for number in range(0, 2 * rounds, 2):
        hold_a_report(own, organizations[number])
        worker.kill()
        own.end_faults()
        worker = own.work()
        hold_a_report(own, organizations[number + 1])
        with postgres.crashed():
            fail_to_record(own, worker)
    for kind in FAILURES:
        own.fault(kind, path=METER_EVENTS, times=2)
    eventually(lambda: send_now(own, organizations), 300, interval=0.5)
    assert [each["left"] for each in own.faults()] == [0] * len(FAILURES)

    numbers = range(batches * (size - 1) + 1)
    used = Counter[str]()
    for number in numbers:
        used[organizations[number % len(organizations)]] += quantity_of(number)
    stored = "SELECT count(*), sum(quantity) FROM usage_events"
    assert own.rows(stored) == [(len(numbers), used.total())]
    reported = "SELECT state, sum(events), sum(quantity) FROM usage_reports GROUP BY state"
    assert own.rows(reported) == [("sent", len(numbers), used.total())]
    assert {each: counted_usage(own, organization_id=each) for each in organizations} == used


@pytest.mark.long
def test_late_usage_is_counted_once_after_a_kill(own: Deployment) -> None:
    enrol(own, "org_1", GOOD)
    with interface(own, "org_1") as api:
        api.ok("PATCH", "/subscription", plan="plus")
    with own.gateway.database.transaction() as session:
        write_freely(session)
        session.execute(text("UPDATE plan_history SET recorded_at = recorded_at - interval '1 day'"))
    before_the_period = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    record_usage(own.gateway, [SentEvent("late", "org_1", "api_calls", 30, before_the_period)])
    worker = own.work()
    hold_a_report(own, "org_1")
    worker.kill()
    own.end_faults()
    own.work()
    eventually(lambda: send_now(own, ["org_1"]), 60, interval=0.5)
    reports = own.rows("SELECT state, quantity, moved_to > occurred_at FROM usage_reports")
    assert (reports, counted_usage(own)) == ([("sent", 30, True)], 30)
    since = own.rows("SELECT current_period_start FROM organization_plans")
    assert own.rows("SELECT moved_to FROM usage_reports") >= since  # the present period bills it
