"""The gap walk fetches undelivered events. It survives a kill and a race, and offers a dry run."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import orjson
import pytest
import requests
from sqlalchemy import text

from gateway.db import jobs
from gateway.db.models import Reconciliation, Subscription, WebhookEvent
from gateway.errors import DatabaseUnavailable, ReconciliationInProgress
from gateway.sandbox import Sandbox
from gateway.services.reconciliation import gap
from gateway.stripe_api import json_text
from tests.support.clock import StripeTime
from tests.support.database import mirror
from tests.support.faults import request_fault
from tests.support.jobs import job_states
from tests.support.plans import on_plus
from tests.support.reconciliation import (
    HANDLED,
    drop_webhooks,
    set_quantity_at_stripe,
    subscription_items,
    tables,
    walk_gap,
)
from tests.support.stripe_events import event
from tests.support.wait import eventually
from tests.support.world import World

KILL_BLOCKED = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def list_gap_events(world: World) -> list[WebhookEvent]:
    """Return the events that walks have put into the inbox."""
    return [row for row in world.rows(WebhookEvent) if row.source == "gap"]


def test_dropped_webhooks_are_found_and_applied_after_the_walk(world: World, sandbox: Sandbox) -> None:
    on_plus(world)
    world.settle()
    drop_webhooks(world, sandbox)
    set_quantity_at_stripe(world, 7)
    world.work()
    assert world.plan_row().quantity == 2
    at = walk_gap(world)
    assert at.counts["missing"] > 0
    world.work()
    assert world.plan_row().quantity == 7
    assert {row.state for row in world.rows(WebhookEvent)} <= {"done", "ignored"}
    brought = list_gap_events(world)
    assert len(brought) == at.counts["missing"]


def test_walk_recovers_three_days_without_an_endpoint(world: World, stripe_time: StripeTime) -> None:
    on_plus(world)
    world.settle()
    [endpoint] = world.stripe.v1.webhook_endpoints.list().data
    world.stripe.v1.webhook_endpoints.delete(endpoint.id)
    for day in range(3):
        stripe_time.ahead = day * 86400
        set_quantity_at_stripe(world, 10 + day)
    subscription, _ = subscription_items(world)
    world.stripe.v1.subscriptions.cancel(subscription)
    at = walk_gap(world)
    assert at.until is not None
    assert at.until > world.gateway.clock() + timedelta(days=1)  # the time is from Stripe's clock, not ours
    world.work()
    assert (world.plan_row().status, world.plan_row().plan) == ("canceled", "free")
    assert {row.id for row in world.rows(Subscription)} == {subscription}
    history = mirror(world)
    walk_gap(world)
    world.work()
    assert mirror(world) == history


def test_second_walk_starts_at_the_overlap_and_finds_nothing(world: World, stripe_time: StripeTime) -> None:
    on_plus(world)
    world.settle()
    stripe_time.ahead = gap.OVERLAP.total_seconds() + 60
    first = walk_gap(world)
    second = walk_gap(world)
    assert first.until is not None
    assert second.since == first.until - gap.OVERLAP
    assert (second.counts["missing"], second.counts["events"]) == (0, 0)


def test_event_that_is_listed_late_is_found_by_the_overlap(world: World) -> None:
    on_plus(world)
    world.settle()
    walk_gap(world)
    # The walk itself brought the events of the catalogue, which can be older than the overlap.
    late = next(row.id for row in world.rows(WebhookEvent) if row.type in HANDLED and row.source == "webhook")
    with world.gateway.database.transaction() as session:
        session.execute(text("DELETE FROM webhook_events WHERE id = :id"), {"id": late})
    assert walk_gap(world).counts["missing"] == 1


def test_killed_walk_resumes_at_its_last_page(world: World, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.stripe_api.event_list.PAGE", 5)
    drop_webhooks(world, sandbox)
    on_plus(world)
    walk = gap.walk(world.gateway, HANDLED)
    first = next(walk)
    walk.close()
    [unfinished] = world.rows(Reconciliation)
    assert (unfinished.finished_at, unfinished.cursor) == (None, first.cursor)
    world.stripe.v1.customers.create({"name": "Somebody"})  # newer than the walk's start
    rest = list(gap.walk(world.gateway, HANDLED))
    assert rest[0].counts["events"] == 10
    assert rest[-1].until == first.until
    [finished] = world.rows(Reconciliation)
    assert finished.finished_at is not None
    assert walk_gap(world).counts["missing"] == 1  # the event that came during the walk
    world.work()
    assert (world.plan_row().plan, world.plan_row().quantity) == ("plus", 2)


def test_walk_does_not_advance_before_its_events_are_committed(
    world: World, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.stripe_api.event_list.PAGE", 5)
    drop_webhooks(world, sandbox)
    on_plus(world)
    walk = gap.walk(world.gateway, HANDLED)
    first = next(walk)
    with ThreadPoolExecutor(1) as threads, world.gateway.database.transaction() as session:
        session.execute(text("SELECT FROM reconciliations FOR UPDATE"))
        page = threads.submit(next, walk)
        eventually(lambda: world.blocked() == 1)  # the walk has stored the second page's events, and moves the cursor
        session.execute(text(KILL_BLOCKED))
        with pytest.raises(DatabaseUnavailable):
            page.result()
    assert len(list_gap_events(world)) == first.counts["missing"]
    assert [row.cursor for row in world.rows(Reconciliation)] == [first.cursor]
    finished = walk_gap(world)
    assert finished.counts["missing"] == len(list_gap_events(world)) > first.counts["missing"]


def test_one_of_two_concurrent_walks_stops_and_no_event_is_missed(
    world: World, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.stripe_api.event_list.PAGE", 5)
    drop_webhooks(world, sandbox)
    on_plus(world)
    one, other = (gap.walk(world.gateway, HANDLED) for _ in range(2))
    next(one)
    next(other)  # resumes the same run
    with pytest.raises(ReconciliationInProgress):
        list(one)
    finished = list(other)[-1]
    handled = {each.id for each in world.stripe.v1.events.list({"limit": 100}) if each.type in HANDLED}
    assert handled <= {row.id for row in world.rows(WebhookEvent)}
    assert finished.counts["missing"] == len(list_gap_events(world))


def test_change_during_the_walk_is_neither_lost_nor_undone(
    world: World, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.stripe_api.event_list.PAGE", 5)
    on_plus(world)
    world.settle()
    request_fault(sandbox.url, kind="webhook_dropped", event="customer.subscription.updated")
    set_quantity_at_stripe(world, 3)
    walk = gap.walk(world.gateway, HANDLED)
    next(walk)
    set_quantity_at_stripe(world, 4)  # delivered
    newest = world.stripe.v1.events.list({"limit": 1}).data[0].id
    eventually(lambda: newest in {row.id for row in world.rows(WebhookEvent)})
    list(walk)
    world.work()
    assert world.plan_row().quantity == 4


def test_a_dry_run_counts_and_writes_nothing(world: World, sandbox: Sandbox) -> None:
    drop_webhooks(world, sandbox)
    on_plus(world)
    world.work()
    before = tables(world)
    dry = walk_gap(world, dry_run=True)
    assert tables(world) == before
    assert dry.counts["missing"] == walk_gap(world).counts["missing"] > 0


def test_late_delivery_of_a_found_event_only_changes_its_source(world: World, sandbox: Sandbox) -> None:
    drop_webhooks(world, sandbox)
    on_plus(world)
    walk_gap(world)
    [row, *_] = list_gap_events(world)
    assert requests.post(f"{sandbox.url}/_sandbox/events/{row.id}/resend", timeout=5).ok
    eventually(lambda: source_of(world, row.id) == "webhook")
    assert len([each for each in world.rows(WebhookEvent) if each.id == row.id]) == 1


def source_of(world: World, event_id: str) -> str:
    return next(row.source for row in world.rows(WebhookEvent) if row.id == event_id)


def test_events_without_a_handler_are_not_stored(world: World, sandbox: Sandbox) -> None:
    drop_webhooks(world, sandbox)
    on_plus(world)
    walk_gap(world)
    assert {row.type for row in list_gap_events(world)} <= set(HANDLED)


def test_walk_with_a_cursor_that_stripe_forgot_still_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.stripe_api.event_list.PAGE", 5)
    on_plus(world)
    world.settle()
    walk = gap.walk(world.gateway, HANDLED)
    next(walk)
    with world.gateway.database.transaction() as session:
        session.execute(text("UPDATE reconciliations SET cursor = 'evt_forgotten'"))
    assert walk_gap(world).finished


def test_events_from_the_walk_equal_deliveries(world: World) -> None:
    on_plus(world)
    world.settle()
    delivered = {row.id: orjson.loads(row.payload or b"") for row in world.rows(WebhookEvent) if row.type in HANDLED}
    with world.gateway.database.transaction() as session:
        session.execute(text("TRUNCATE webhook_events"))
    walk_gap(world)
    found = {row.id: orjson.loads(row.payload or b"") for row in world.rows(WebhookEvent)}
    pending = {"pending_webhooks": 0}  # the number of outstanding deliveries, which is not part of any state
    assert delivered
    for event_id, body in delivered.items():  # the walk also finds the catalogue's events, which preceded the endpoint
        assert found[event_id] | pending == body | pending


def test_invalid_or_foreign_listed_event_is_never_applied(world: World) -> None:
    stranger = event(id="evt_stranger", livemode=True)
    number = event(id="evt_number", amount=float("nan"), half="\ud83d")
    [row] = gap.build_rows(world.gateway, [number, event(id="evt_no type", type="no type"), stranger])
    assert (row["id"], row["state"]) == ("evt_stranger", "rejected")


def test_walk_queues_a_drain_after_storing_events(world: World, sandbox: Sandbox) -> None:
    drop_webhooks(world, sandbox)
    on_plus(world)
    walk_gap(world, dry_run=True)
    assert "todo" not in job_states(world, jobs.DRAIN_INBOX)
    with ThreadPoolExecutor(1) as threads, world.gateway.database.transaction() as session:
        session.execute(text("LOCK TABLE procrastinate_jobs IN EXCLUSIVE MODE"))
        walking = threads.submit(walk_gap, world)
        eventually(lambda: world.blocked() == 1)
        stored = len(list_gap_events(world))  # committed, so a drain that starts immediately finds them
        session.rollback()
        assert stored == walking.result().counts["missing"] > 0
    assert job_states(world, jobs.DRAIN_INBOX).count("todo") == 1
    world.work()
    walk_gap(world)
    assert "todo" not in job_states(world, jobs.DRAIN_INBOX)


def test_half_an_emoji_in_an_unread_field_costs_no_event(world: World) -> None:
    half = event(id="evt_half", data={"object": {"id": "cus_1", "object": "customer", "description": "\ud83d"}})
    [row] = gap.build_rows(world.gateway, [half])
    assert (row["id"], row["state"]) == ("evt_half", "pending")
    assert json_text.loads(row["payload"]) == half
