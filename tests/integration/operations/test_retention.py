"""Pruning removes old payloads, then old rows, and waits for no lock."""

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from gateway.db import jobs
from gateway.db.models import WebhookEvent
from gateway.services.operations import retention
from gateway.tasks import build_worker
from tests.support.stripe_events import deliver, event
from tests.support.world import World

DAY = timedelta(days=1)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)

FAILED_JOB = text("""
    WITH job AS (
        INSERT INTO procrastinate_jobs (queue_name, task_name, status) VALUES ('x', :task, 'failed') RETURNING id
    )
    INSERT INTO procrastinate_events (job_id, type, at) SELECT id, 'failed', now() - CAST(:ago AS interval) FROM job
""")
# Procrastinate deletes a job that succeeded, so its turn then has no job.
TURN = text("""
    WITH job AS (
        INSERT INTO procrastinate_jobs (queue_name, task_name, status)
        SELECT 'x', :task, CAST(:status AS procrastinate_job_status) WHERE :status <> 'succeeded' RETURNING id
    )
    INSERT INTO procrastinate_periodic_defers (task_name, defer_timestamp, job_id)
    VALUES (:task, extract(epoch FROM now() - CAST(:ago AS interval)), (SELECT id FROM job))
""")


def add(world: World, event_id: str, state: str, age: timedelta) -> None:
    deliver(world, json.dumps(event(id=event_id)))
    with world.gateway.database.transaction() as session:
        received = world.gateway.clock() - age
        change = update(WebhookEvent).where(WebhookEvent.id == event_id)
        session.execute(change.values(state=state, received_at=received))


def kept(world: World) -> dict[str, bool]:
    """Return whether each event still has its payload, by event id."""
    return {row.id: row.payload is not None for row in world.rows(WebhookEvent) if row.id.startswith("evt_test")}


@pytest.mark.parametrize("state", ["done", "ignored", "rejected"])
def test_finished_event_loses_payload_at_30_and_row_at_180_days(world: World, state: str) -> None:
    for days in (29, 31, 179, 181):
        add(world, f"evt_test_{days}", state, days * DAY)
    retention.prune(world.gateway)
    assert kept(world) == {"evt_test_29": True, "evt_test_31": False, "evt_test_179": False}


@pytest.mark.parametrize("state", ["pending", "failed", "dead"])
def test_unfinished_event_is_not_pruned(world: World, state: str) -> None:
    add(world, "evt_test", state, 400 * DAY)
    retention.prune(world.gateway)
    assert kept(world) == {"evt_test": True}


def test_redelivery_of_a_pruned_event_is_recognized(world: World) -> None:
    add(world, "evt_test", "done", 31 * DAY)
    retention.prune(world.gateway)
    assert deliver(world, json.dumps(event())).status_code == 200
    assert kept(world) == {"evt_test": False}


def test_any_number_is_pruned_in_batches(world: World) -> None:
    now = world.gateway.clock()
    number = 2 * retention.BATCH_SIZE + 7
    row = {"type": "invoice.paid", "created": now, "livemode": False, "payload": b"{}", "state": "done"}
    row |= {"next_attempt_at": now, "received_at": now - 31 * DAY}
    with world.gateway.database.transaction() as session:
        session.execute(insert(WebhookEvent), [row | {"id": f"evt_test_{each}"} for each in range(number)])
    retention.prune(world.gateway)
    with world.gateway.database.transaction() as session:
        pruned = select(func.count()).where(WebhookEvent.payload.is_(None))
        assert session.scalar(pruned) == number


def test_locked_event_is_pruned_the_next_time(world: World) -> None:
    for name in ("evt_test_held", "evt_test_free"):
        add(world, name, "done", 31 * DAY)
    with world.gateway.database.transaction() as session:
        session.scalar(select(WebhookEvent).where(WebhookEvent.id == "evt_test_held").with_for_update())
        retention.prune(world.gateway)
    assert kept(world) == {"evt_test_held": True, "evt_test_free": False}
    retention.prune(world.gateway)
    assert not any(kept(world).values())


def test_database_keeps_the_payload_of_an_unfinished_event(world: World) -> None:
    add(world, "evt_test", "dead", DAY)
    with (
        pytest.raises(IntegrityError, match="ck_webhook_events_payload"),
        world.gateway.database.transaction() as session,
    ):
        session.execute(text("UPDATE webhook_events SET payload = NULL WHERE id = 'evt_test'"))


def states_of(world: World, task: str) -> list[str]:
    """Return the states of one task's jobs. The wake-up thread may enqueue a drain at any time."""
    with world.gateway.database.transaction() as session:
        query = text("SELECT status::text FROM procrastinate_jobs WHERE task_name = :task")
        return list(session.scalars(query, {"task": task}))


def failed_jobs(world: World, turns: Mapping[str, str]) -> int:
    """Return how many failed jobs pruning leaves.

    One failed an hour ago and one a minute ago. Between them, each task had a turn with the given status.
    """
    with world.gateway.database.transaction() as session:
        session.execute(text("TRUNCATE procrastinate_jobs CASCADE"))
        for task, status in turns.items():
            session.execute(TURN, {"task": task, "status": status, "ago": 30 * MINUTE})
        for ago in (HOUR, MINUTE):
            session.execute(FAILED_JOB, {"task": jobs.WALK_GAP, "ago": ago})
    retention.prune(world.gateway)
    return states_of(world, jobs.WALK_GAP).count("failed")


@pytest.mark.parametrize(
    ("turns", "left"),
    [
        ({jobs.WALK_GAP: "succeeded"}, 1),
        ({jobs.WALK_GAP: "todo"}, 2),
        ({jobs.WALK_GAP: "doing"}, 2),
        ({jobs.WALK_GAP: "failed"}, 3),
        ({jobs.WALK_DRIFT: "succeeded"}, 2),
        ({}, 2),
    ],
)
def test_failed_job_is_deleted_after_a_later_success_of_its_task(
    world: World, turns: Mapping[str, str], left: int
) -> None:
    assert failed_jobs(world, turns) == left


async def take_turn(world: World, task: str, at: int) -> None:
    """Enqueue a periodic job as Procrastinate's scheduler does, and run it as ``gateway worker`` does."""
    app = build_worker(world.gateway)
    async with app.open_async():
        job = app.tasks[task].configure(task_kwargs={"timestamp": at}).job
        await app.job_manager.defer_periodic_job(job=job, periodic_id="", defer_timestamp=at)
        await app.run_worker_async(
            wait=False, listen_notify=False, install_signal_handlers=False, delete_jobs="successful"
        )


def test_worker_deletes_the_job_of_a_successful_turn(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def failed() -> list[str]:
        with world.gateway.database.transaction() as session:
            return list(session.scalars(text("SELECT task_name FROM procrastinate_jobs WHERE status = 'failed'")))

    now = int(world.gateway.clock().timestamp())
    with monkeypatch.context() as broken:
        broken.setattr("gateway.services.webhooks.endpoint_check.check_endpoint", None)
        asyncio.run(take_turn(world, jobs.CHECK_ENDPOINT, now))
    retention.prune(world.gateway)
    assert set(failed()) == {jobs.CHECK_ENDPOINT}
    asyncio.run(take_turn(world, jobs.CHECK_ENDPOINT, now + 3600))
    retention.prune(world.gateway)
    assert failed() == []


def test_failed_job_that_an_operator_requeued_is_kept(world: World) -> None:
    with world.gateway.database.transaction() as session:
        session.execute(text("TRUNCATE procrastinate_jobs CASCADE"))
        session.execute(FAILED_JOB, {"task": jobs.WALK_GAP, "ago": HOUR})
        session.execute(text("UPDATE procrastinate_jobs SET status = 'todo'"))
        session.execute(TURN, {"task": jobs.WALK_GAP, "status": "succeeded", "ago": 0 * MINUTE})
    retention.prune(world.gateway)
    assert states_of(world, jobs.WALK_GAP) == ["todo"]


def test_pruning_deletes_its_own_failed_jobs(world: World) -> None:
    with world.gateway.database.transaction() as session:
        session.execute(text("TRUNCATE procrastinate_jobs CASCADE"))
        session.execute(FAILED_JOB, {"task": jobs.PRUNE_INBOX, "ago": HOUR})
        session.execute(TURN, {"task": jobs.PRUNE_INBOX, "status": "doing", "ago": 0 * MINUTE})
    retention.prune(world.gateway)
    assert states_of(world, jobs.PRUNE_INBOX) == ["doing"]
