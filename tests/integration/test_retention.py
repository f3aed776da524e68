"""Old payloads are emptied, older rows removed, and nobody waits for it."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from gateway.db.models import WebhookEvent
from gateway.services import retention
from tests.integration.support import World
from tests.integration.test_webhook_ingress import deliver, event

DAY = timedelta(days=1)


def add(world: World, event_id: str, state: str, age: timedelta) -> None:
    deliver(world, json.dumps(event(id=event_id)))
    with world.gateway.database.transaction() as session:
        received = world.gateway.clock() - age
        change = update(WebhookEvent).where(WebhookEvent.id == event_id)
        session.execute(change.values(state=state, received_at=received))


def kept(world: World) -> dict[str, bool]:
    """Which events there are, and whether they have their payload."""
    return {row.id: row.payload is not None for row in world.rows(WebhookEvent) if row.id.startswith("evt_test")}


@pytest.mark.parametrize("state", ["done", "ignored", "rejected"])
def test_the_payload_of_a_finished_event_goes_after_30_days_and_its_row_after_180(world: World, state: str) -> None:
    for days in (29, 31, 179, 181):
        add(world, f"evt_test_{days}", state, days * DAY)
    retention.prune(world.gateway)
    assert kept(world) == {"evt_test_29": True, "evt_test_31": False, "evt_test_179": False}


@pytest.mark.parametrize("state", ["pending", "failed", "dead"])
def test_what_is_not_finished_stays_as_it_is(world: World, state: str) -> None:
    add(world, "evt_test", state, 400 * DAY)
    retention.prune(world.gateway)
    assert kept(world) == {"evt_test": True}


def test_a_pruned_event_that_comes_again_is_still_known(world: World) -> None:
    add(world, "evt_test", "done", 31 * DAY)
    retention.prune(world.gateway)
    assert deliver(world, json.dumps(event())).status_code == 200
    assert kept(world) == {"evt_test": False}


def test_any_number_is_pruned_in_batches(world: World) -> None:
    now = world.gateway.clock()
    number = 2 * retention.BATCH + 7
    row = {"type": "invoice.paid", "created": now, "livemode": False, "payload": b"{}", "state": "done"}
    row |= {"next_attempt_at": now, "received_at": now - 31 * DAY}
    with world.gateway.database.transaction() as session:
        session.execute(insert(WebhookEvent), [row | {"id": f"evt_test_{each}"} for each in range(number)])
    retention.prune(world.gateway)
    with world.gateway.database.transaction() as session:
        pruned = select(func.count()).where(WebhookEvent.payload.is_(None))
        assert session.scalar(pruned) == number


def test_what_somebody_else_holds_is_left_for_the_next_time(world: World) -> None:
    for name in ("evt_test_held", "evt_test_free"):
        add(world, name, "done", 31 * DAY)
    with world.gateway.database.transaction() as session:
        session.scalar(select(WebhookEvent).where(WebhookEvent.id == "evt_test_held").with_for_update())
        retention.prune(world.gateway)
    assert kept(world) == {"evt_test_held": True, "evt_test_free": False}
    retention.prune(world.gateway)
    assert not any(kept(world).values())


def test_the_database_keeps_the_payload_of_what_is_to_be_worked_off(world: World) -> None:
    add(world, "evt_test", "dead", DAY)
    with (
        pytest.raises(IntegrityError, match="ck_webhook_events_payload"),
        world.gateway.database.transaction() as session,
    ):
        session.execute(text("UPDATE webhook_events SET payload = NULL WHERE id = 'evt_test'"))
