"""Each process runs one drain. The drain loses no request that arrives while it runs, and lingers for more events."""

import threading
import time

import orjson
import pytest

from gateway.db import jobs
from gateway.db.models import WebhookEvent
from gateway.services.webhooks.drain_loop import DrainLoop
from gateway.stripe_api.snapshots import Event, Snapshot
from gateway.supervision import Supervision
from tests.support.jobs import job_states
from tests.support.stripe_events import deliver, event
from tests.support.wait import eventually
from tests.support.world import World


class HeldHandler:
    """A handler for ``customer.updated`` that blocks until the test resumes it."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.resume = threading.Event()

    def __call__(self, _: Event) -> list[Snapshot]:
        self.entered.set()
        assert self.resume.wait(10)
        return []


@pytest.fixture
def handler() -> HeldHandler:
    return HeldHandler()


def send(world: World, event_id: str) -> None:
    assert deliver(world, orjson.dumps(event(id=event_id, type="customer.updated"))).status_code == 200


def pending(world: World) -> list[str]:
    return [row.id for row in world.rows(WebhookEvent) if row.state == "pending"]


def test_second_drain_ends_and_the_first_checks_again(world: World, handler: HeldHandler) -> None:
    draining = DrainLoop(world.gateway, {"customer.updated": handler}, Supervision(), linger=0)
    send(world, "evt_1")
    first = threading.Thread(target=draining.run)
    first.start()
    assert handler.entered.wait(10)
    send(world, "evt_2")
    draining.run()  # returns although the first drain still runs and evt_2 is pending
    assert set(pending(world)) >= {"evt_1", "evt_2"}
    handler.resume.set()
    first.join(10)
    assert pending(world) == []


def test_lingering_drain_processes_the_next_event(world: World, handler: HeldHandler) -> None:
    handler.resume.set()
    draining = DrainLoop(world.gateway, {"customer.updated": handler}, Supervision(), linger=0.5)
    send(world, "evt_1")
    running = threading.Thread(target=draining.run)
    running.start()
    eventually(lambda: pending(world) == [])
    send(world, "evt_2")
    eventually(lambda: pending(world) == [])
    assert running.is_alive()  # so this drain has processed evt_2
    running.join(10)
    assert not running.is_alive()


def test_stopping_drain_enqueues_another_for_the_rest(world: World, handler: HeldHandler) -> None:
    supervised = Supervision()
    supervised.ending.set()
    handler.resume.set()
    send(world, "evt_1")
    began = time.monotonic()
    DrainLoop(world.gateway, {"customer.updated": handler}, supervised, linger=60).run()
    assert time.monotonic() - began < 30
    assert "todo" in job_states(world, jobs.DRAIN_INBOX)
