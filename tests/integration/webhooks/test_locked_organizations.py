"""Another session keeps an organization locked. The drain merges all other organizations' events and comes back."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from gateway.db import session as sessions
from gateway.db.models import Organization, WebhookEvent
from gateway.db.session import Database
from gateway.services.mirror.locks import CATALOG_LOCK
from gateway.services.mirror.refresh import run_refresh_job
from gateway.services.operations.doctor import check_locks
from gateway.services.operations.status import load_status
from gateway.services.webhooks import drain
from gateway.services.webhooks.drain_loop import DrainLoop
from gateway.supervision import Supervision
from handlers import HANDLERS
from tests.support.database import state_of
from tests.support.jobs import job_states
from tests.support.metrics import scrape
from tests.support.recorded_events import changed
from tests.support.stripe_events import deliver
from tests.support.wait import eventually
from tests.support.world import World


@pytest.fixture
def two(world: World) -> World:
    """Create two organizations, and deliver an event about each."""
    world.settle()
    with world.gateway.database.transaction() as session:
        for name in ("a", "b"):
            session.add(Organization(id=name, stripe_customer_id=f"cus_{name}", created_at=world.gateway.clock()))
    for name in ("a", "b"):
        send(world, f"evt_{name}", "customer.updated", {"id": f"cus_{name}"})
    return world


def send(world: World, event_id: str, kind: str, changes: dict[str, Any]) -> None:
    body = changed(kind, changes) | {"id": event_id}
    assert deliver(world, json.dumps(body)).status_code == 200


@contextmanager
def locked(world: World, statement: str) -> Iterator[int]:
    """Hold a lock in a session of our own for the length of the block. Yield the session's process id."""
    with psycopg.connect(world.gateway.config.database_url) as connection:
        connection.execute(statement.encode())
        yield connection.info.backend_pid


LOCK_A = "SELECT FROM organizations WHERE id = 'a' FOR UPDATE"


def test_events_of_other_organizations_do_not_wait(two: World) -> None:
    with locked(two, LOCK_A) as pid:
        drain.drain_inbox(two.gateway, HANDLERS)
        assert (state_of(two, "evt_a"), state_of(two, "evt_b")) == ("pending", "done")
        assert scrape(two.gateway)["gateway_organizations_locked"] == 1
        [found] = check_locks(load_status(two.gateway).locked)
        assert found.text.startswith(f"locks: a is locked by session {pid} of PostgreSQL, and 1 events have waited")
    drain.drain_inbox(two.gateway, HANDLERS)
    assert state_of(two, "evt_a") == "done"
    assert scrape(two.gateway)["gateway_organizations_locked"] == 0


def test_drain_comes_back_without_a_wake_up(two: World) -> None:
    loop = DrainLoop(two.gateway, HANDLERS, Supervision(), linger=0.01)
    draining = threading.Thread(target=loop.run)
    with locked(two, LOCK_A):
        draining.start()
        eventually(lambda: state_of(two, "evt_b") == "done")
        send(two, "evt_a2", "customer.updated", {"id": "cus_a"})
        eventually(lambda: all(row.waits_for == "a" for row in two.rows(WebhookEvent) if row.id in ("evt_a", "evt_a2")))
    draining.join(10)
    assert (state_of(two, "evt_a"), state_of(two, "evt_a2")) == ("done", "done")


def test_event_of_the_catalogue_stops_no_others_while_it_waits(two: World) -> None:
    send(two, "evt_product", "product.updated", {"id": "prod_1", "metadata": {}})
    with locked(two, f"SELECT pg_advisory_xact_lock_shared({CATALOG_LOCK})"):
        drain.drain_batch(two.gateway, HANDLERS)
        states = [state_of(two, each) for each in ("evt_a", "evt_b", "evt_product")]
        assert states == ["done", "done", "pending"]
    drain.drain_inbox(two.gateway, HANDLERS)
    assert state_of(two, "evt_product") != "pending"


def test_lock_elsewhere_counts_as_no_failure(two: World) -> None:
    with locked(two, "LOCK TABLE payment_methods"):
        drain.drain_inbox(two.gateway, HANDLERS)
        waiting = {row.id: (row.state, row.attempts) for row in two.rows(WebhookEvent) if row.id in ("evt_a", "evt_b")}
    assert waiting == dict.fromkeys(("evt_a", "evt_b"), ("pending", 0))
    drain.drain_inbox(two.gateway, HANDLERS)
    assert (state_of(two, "evt_a"), state_of(two, "evt_b")) == ("done", "done")


def test_refresh_of_a_locked_organization_is_postponed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.api().ok("POST", "/subscription", plan="free")
    world.settle()
    [organization] = world.rows(Organization)
    impatient = sessions.CONNECT["options"].replace("lock_timeout=5s", "lock_timeout=50ms")
    monkeypatch.setattr(sessions, "CONNECT", {**sessions.CONNECT, "options": impatient})
    database = Database(world.gateway.config.database_url)
    with locked(world, "SELECT FROM organizations FOR UPDATE"):
        run_refresh_job(replace(world.gateway, database=database), "customer", organization.stripe_customer_id or "", 1)
    database.close()
    assert job_states(world, "gateway.refresh") == ["todo"]
