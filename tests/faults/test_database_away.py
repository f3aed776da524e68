"""PostgreSQL crashes during a burst and comes back. Web and worker continue without a restart."""

import signal
import threading
import time

import psycopg
import pytest
import requests

from gateway.commands.worker import GRACE
from gateway.db.session import Database
from gateway.db.writer import Writer
from gateway.errors import DatabaseUnavailable
from gateway.services.webhooks.drain import BATCH
from gateway.services.webhooks.wakeup import defer_drain
from tests.faults.burst import Burst
from tests.faults.merged import (
    acknowledged_but_lost,
    assert_merged_once,
    freeze_in_mid_drain,
    half_done,
    one_event_each,
    pending,
    store,
)
from tests.support.deployment import Deployment
from tests.support.postgres import Crashing
from tests.support.wait import eventually


@pytest.fixture(scope="module")
def server(postgres: Crashing) -> str:
    """Return the URL of the server that tests may crash, instead of the shared one."""
    return postgres.url


def test_web_answers_503_without_a_database_and_loses_nothing(own: Deployment, postgres: Crashing) -> None:
    deliveries = one_event_each(own, 900)
    web = own.serve()
    with Burst(own.port, deliveries) as burst:
        for _ in range(2):
            acknowledged, refused = len(burst.acknowledged), burst.refusals[503]
            burst.start()
            eventually(lambda goal=acknowledged + 100: len(burst.acknowledged) > goal)  # type: ignore[misc]  # the default binds the goal now
            assert burst.in_flight > 0, "no delivery was in flight"
            with postgres.crashed():
                assert burst.waiting > 0, "the burst ended too early"
                eventually(lambda goal=refused + 20: burst.refusals[503] > goal)  # type: ignore[misc]  # the default binds the goal now
                while_away = set(burst.acknowledged)
            assert acknowledged_but_lost(own, while_away) == set()
            burst.stop()
        burst.finish()
        assert set(burst.refusals) == {503}
        assert (burst.cut, burst.unreachable) == (0, 0)  # every delivery was answered
    assert web.alive
    own.work()
    defer_drain(own.gateway.database)
    eventually(lambda: pending(own) == 0)
    assert_merged_once(own, deliveries)


def test_worker_without_its_database_continues_later(own: Deployment, postgres: Crashing) -> None:
    deliveries = one_event_each(own, 3 * BATCH)
    store(own, deliveries)
    worker = own.work()
    defer_drain(own.gateway.database)
    freeze_in_mid_drain(own, worker)
    with postgres.crashed():
        worker.send(signal.SIGCONT)
        # Wait until the worker has failed to reconnect. Its pool gives up only after half a minute.
        eventually(lambda: "error connecting" in worker.log() or "worker_without_database" in worker.log())
    assert pending(own) > 0, "the drain ended too early"
    assert half_done(own) == 0
    defer_drain(own.gateway.database)
    eventually(lambda: pending(own) == 0, 60)
    assert worker.alive
    assert_merged_once(own, deliveries)


@pytest.mark.long
def test_worker_without_its_database_stops_in_time(own: Deployment, postgres: Crashing) -> None:
    worker = own.work()
    with postgres.crashed():
        eventually(lambda: "worker_without_database" in worker.log())
        worker.ask_to_stop()
        stopping = time.monotonic()
        assert worker.wait() == 0
    assert time.monotonic() - stopping < GRACE


def test_refresh_without_a_database_is_merged_when_it_is_back(own: Deployment, postgres: Crashing) -> None:
    own.serve()
    customer = own.enrol("org_1")["customer"]
    worker = own.work()
    eventually(own.all_done)
    own.fault("webhook_dropped", event="customer.updated", times=1)  # so only the refresh can bring the new name
    own.stripe.v1.customers.update(customer, {"name": "Renamed"})
    own.fault("delay", seconds=1, path=f"/v1/customers/{customer}")
    own.refresh("customer", customer)
    eventually(lambda: [fault["fired"] for fault in own.faults() if fault["kind"] == "delay"] == [1])
    with postgres.crashed():
        eventually(lambda: "job_without_database" in worker.log())
    eventually(lambda: own.rows("SELECT name FROM organizations") == [("Renamed",)], 60)
    eventually(lambda: own.number("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'gateway.refresh'") == 0)


def test_change_without_a_database_is_503_and_not_sent_to_stripe(own: Deployment, postgres: Crashing) -> None:
    own.serve()
    own.enrol("org_1")
    own.fault("rate_limit", times=100)  # it would show any call to Stripe
    with postgres.crashed():
        for method, path in (("PATCH", "/subscription"), ("POST", "/subscription/preview")):
            answer = own.api("org_1", method, path, plan="plus")
            assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert [fault["fired"] for fault in own.faults()] == [0]
        assert requests.get(f"http://127.0.0.1:{own.port}/health/live", timeout=5).ok
    own.end_faults()
    assert own.ok("org_1", "PATCH", "/subscription", plan="plus")["state"] == "applied"


def test_every_error_that_a_crash_causes_counts_as_an_outage(postgres: Crashing) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE written (text text)")
    stop = threading.Event()
    surprises: list[BaseException] = []

    def write() -> None:
        writer = Writer(Database(postgres.url))
        while not stop.is_set():
            try:
                writer.execute(b"INSERT INTO written VALUES ($1)", [b"x" * 3000], [0])
            except DatabaseUnavailable:
                stop.wait(0.01)
            except psycopg.Error as surprise:
                surprises.append(surprise)
        writer.close()

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(6):
        eventually(lambda: written_since(postgres.url) > 0)
        with postgres.crashed():
            pass
    stop.set()
    for thread in threads:
        thread.join(30)
    assert surprises == []


def written_since(url: str) -> int:
    """Delete the written rows and return their number. Return 0 while the server recovers."""
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            return connection.execute("DELETE FROM written").rowcount
    except psycopg.OperationalError:
        return 0
