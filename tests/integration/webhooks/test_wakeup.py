"""The wake-up enqueues a drain for every event."""

import time

import orjson
import pytest
from sqlalchemy import text

from gateway.db import jobs
from gateway.db.models import WebhookEvent
from gateway.services.webhooks import wakeup as wakeup_module
from gateway.services.webhooks.wakeup import Wakeup, defer_drain
from tests.support.jobs import job_states
from tests.support.stripe_events import deliver, event
from tests.support.wait import eventually
from tests.support.world import World


def test_failed_drain_does_not_swallow_later_wake_ups(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("once")

    with monkeypatch.context() as broken:
        broken.setattr("gateway.services.webhooks.drain_loop.drain_batch", fail)  # stands for any error in the job
        deliver(world, orjson.dumps(event(type="customer.updated")))
        eventually(lambda: job_states(world, jobs.DRAIN_INBOX) != [])
        world.work()
    deliver(world, orjson.dumps(event(id="evt_test_2", type="customer.updated")))
    eventually(lambda: "todo" in job_states(world, jobs.DRAIN_INBOX))
    world.work()
    assert {row.state for row in world.rows(WebhookEvent) if row.id.startswith("evt_test")} == {"ignored"}


def test_wake_up_survives_a_database_error(world: World) -> None:
    wakeup = Wakeup(world.gateway.database)
    with world.gateway.database.transaction() as session:
        session.execute(text("ALTER TABLE procrastinate_jobs RENAME TO gone"))
    try:
        wakeup.request_drain()
        eventually(lambda: not wakeup._requested.is_set())  # noqa: SLF001 - no public call shows that the thread has tried
    finally:
        with world.gateway.database.transaction() as session:
            session.execute(text("ALTER TABLE gone RENAME TO procrastinate_jobs"))
    wakeup.request_drain()
    wakeup.close()
    assert "todo" in job_states(world, jobs.DRAIN_INBOX)


def test_second_drain_is_enqueued_only_after_a_second(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    defer_drain(world.gateway.database)
    with world.gateway.database.transaction() as session:  # as a worker leaves it that died
        session.execute(text("INSERT INTO procrastinate_workers DEFAULT VALUES"))
        session.execute(
            text("UPDATE procrastinate_jobs SET status = 'doing', worker_id = (SELECT id FROM procrastinate_workers)")
        )
    assert not defer_drain(world.gateway.database, rely_on_running=True)
    monkeypatch.setattr(wakeup_module, "PAUSE", 0.01)
    wakeup = Wakeup(world.gateway.database)
    began = time.monotonic()
    wakeup.request_drain()
    eventually(lambda: "todo" in job_states(world, jobs.DRAIN_INBOX))
    assert time.monotonic() - began > wakeup_module.MAX_RELIANCE
    wakeup.close()


def test_closing_wake_up_enqueues_a_drain_beside_a_running_one(world: World) -> None:
    defer_drain(world.gateway.database)
    with world.gateway.database.transaction() as session:
        session.execute(text("INSERT INTO procrastinate_workers DEFAULT VALUES"))
        session.execute(
            text("UPDATE procrastinate_jobs SET status = 'doing', worker_id = (SELECT id FROM procrastinate_workers)")
        )
    wakeup = Wakeup(world.gateway.database)
    wakeup.request_drain()
    wakeup.close()
    assert sorted(job_states(world, jobs.DRAIN_INBOX)) == ["doing", "todo"]
