"""The drain processes events in any order, despite poison events and states that only Stripe knows."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import text, update

from gateway.db.models import (
    Organization,
    PlanHistory,
    Subscription,
    UpcomingInvoice,
    WebhookEvent,
)
from gateway.services.reconciliation import gap
from gateway.services.webhooks import drain
from gateway.stripe_api.snapshots import Event, Snapshot
from gateway.stripe_api.times import from_unix, to_unix
from handlers import HANDLERS
from tests.support.database import empty, mirror, state_of
from tests.support.payment_methods import customer_of
from tests.support.plans import live_a_little
from tests.support.stripe_events import deliver, event
from tests.support.world import World


@pytest.mark.parametrize("seed", range(4))
def test_shuffled_and_repeated_events_lead_to_stripes_state(world: World, seed: int) -> None:
    live_a_little(world)
    world.settle()
    expected = mirror(world)
    events = [json.dumps(each.to_dict(for_json=True)) for each in world.stripe.v1.events.list({"limit": 100})]
    organization = world.rows(Organization)[0]
    empty(world.gateway)
    with world.gateway.database.transaction() as session:  # the gateway always knows the organization before its events
        session.add(Organization(id=organization.id, created_at=organization.created_at))
        session.flush()
        session.get_one(Organization, "org_1").stripe_customer_id = organization.stripe_customer_id

    shuffler = random.Random(seed)  # noqa: S311 - a repeatable shuffle
    deliveries = events + shuffler.sample(events, 5)
    shuffler.shuffle(deliveries)
    for body in deliveries:
        assert deliver(world, body).status_code == 200
        if shuffler.random() < 0.2:
            world.work()
    world.work()
    assert {row.state for row in world.rows(WebhookEvent)} <= {"done", "ignored"}
    assert mirror(world) == expected


def test_an_event_type_without_a_handler_is_ignored(world: World) -> None:
    deliver(world, json.dumps(event(type="radar.early_fraud_warning.created")))
    world.work()
    assert state_of(world, "evt_test") == "ignored"


def test_an_event_of_an_unknown_customer_is_ignored(world: World) -> None:
    world.stripe.v1.customers.create({"name": "Somebody else's"})
    world.settle()
    assert {row.state for row in world.rows(WebhookEvent) if row.type == "customer.created"} == {"ignored"}


def test_deleted_customer_ends_on_free_and_nothing_revives_it(world: World) -> None:
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    api.add_card(world.stripe)
    api.ok("PATCH", "/subscription", plan="plus")
    world.settle()
    late = next(each for each in world.stripe.v1.events.list({"type": "customer.updated"}))
    world.stripe.v1.customers.delete(customer_of(world))
    world.settle()
    assert world.plan_row().plan == "free"
    deliver(world, json.dumps({**late.to_dict(for_json=True), "id": "evt_late", "created": late.created + 60}))
    world.work()
    assert world.plan_row().plan == "free"
    assert world.rows(Organization)[0].deleted
    assert api.problem("PATCH", "/subscription", plan="plus") == (409, "contact_sales_required")


def test_readable_event_of_another_api_version_is_refreshed(world: World) -> None:
    world.api().ok("POST", "/subscription", plan="free")
    world.settle()
    [created] = world.stripe.v1.events.list({"type": "customer.subscription.created"}).data
    other = created.to_dict(for_json=True)
    other["data"]["object"]["status"] = "past_due"  # differs from the state at Stripe
    other |= {"id": "evt_test", "type": "customer.subscription.updated", "created": other["created"] + 60}
    deliver(world, json.dumps({**other, "api_version": "2024-06-20"}))
    world.work()
    assert state_of(world, "evt_test") == "done"
    assert world.plan_row().status == "active"
    assert world.rows(Subscription)[0].source == "refresh"


def test_an_unreadable_object_is_refreshed_instead_of_guessed(world: World) -> None:
    world.api().ok("POST", "/subscription", plan="free")
    world.settle()
    broken = {"id": world.rows(Subscription)[0].id, "object": "subscription", "status": "a new status"}
    deliver(world, json.dumps(event(type="customer.subscription.updated", data={"object": broken})))
    world.work()
    assert state_of(world, "evt_test") == "done"
    assert world.rows(Subscription)[0].status == "active"


def test_half_an_emoji_in_a_read_field_is_dropped(world: World) -> None:
    world.api().ok("POST", "/subscription", plan="free")
    world.settle()
    [created] = world.stripe.v1.events.list({"type": "customer.created"}).data
    body: Any = created.to_dict(for_json=True)
    body["data"]["object"] |= {"name": "Half \ud83d", "description": "\ud83d"}
    body |= {"id": "evt_test", "type": "customer.updated", "created": body["created"] + 60}
    assert deliver(world, json.dumps(body)).status_code == 200
    world.work()
    assert state_of(world, "evt_test") == "done"
    assert world.rows(Organization)[0].name == "Half "


def test_upcoming_invoice_without_an_id_shows_in_plan_details(world: World) -> None:
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    api.add_card(world.stripe)
    api.ok("PATCH", "/subscription", plan="plus")
    world.settle()
    subscription = world.rows(Subscription)[0]
    invoice = world.stripe.v1.invoices.create_preview({"subscription": subscription.id}).to_dict(for_json=True)
    del invoice["id"]
    period_end = world.plan_row().current_period_end
    assert period_end is not None
    invoice["period_end"] = int(period_end.timestamp())
    deliver(world, json.dumps(event(type="invoice.upcoming", data={"object": invoice})))
    world.work()
    details = api.ok("GET", "/subscription")
    assert details["upcoming_charges"]["amount_due"] == invoice["amount_due"] == 50000
    assert details["upcoming_charges"]["billing_date"] == details["billing_date"]
    with (
        world.gateway.database.transaction() as session
    ):  # an announcement of a past date says nothing about the next one
        session.execute(update(UpcomingInvoice).values(billing_date=period_end - timedelta(days=30)))
    assert api.ok("GET", "/subscription")["upcoming_charges"] is None


def poisoned(poison: str) -> drain.Handlers:
    """Return the real handlers, except one that fails on one event."""

    def fail(event: Event) -> list[Snapshot]:
        if event.object["id"] == poison:
            raise RuntimeError("poison\0")
        return []

    return {**HANDLERS, "customer.updated": fail}


def test_poison_event_stops_no_other_and_a_redelivery_revives_it(world: World) -> None:
    for number in range(5):
        body = event(id=f"evt_test{number}", data={"object": {"id": f"cus_{number}", "object": "customer"}})
        deliver(world, json.dumps(body))
    drain.drain_inbox(world.gateway, poisoned("cus_3"))
    states = {row.id: row.state for row in world.rows(WebhookEvent) if row.id.startswith("evt_test")}
    assert states.pop("evt_test3") == "failed"
    assert set(states.values()) == {"ignored"}

    for _ in range(drain.MAX_ATTEMPTS):
        with world.gateway.database.transaction() as session:
            session.execute(update(WebhookEvent).values(next_attempt_at=world.gateway.clock()))
        drain.drain_inbox(world.gateway, poisoned("cus_3"))
    [dead] = [row for row in world.rows(WebhookEvent) if row.id == "evt_test3"]
    assert (dead.state, dead.attempts, dead.error) == ("dead", drain.MAX_ATTEMPTS, "RuntimeError: poison")

    deliver(world, json.dumps(event(id="evt_test3", data={"object": {"id": "cus_3", "object": "customer"}})))
    drain.drain_inbox(world.gateway, poisoned("nobody"))
    assert state_of(world, "evt_test3") == "ignored"


@contextmanager
def refusing(world: World, table: str, condition: str) -> Iterator[None]:
    """Make the database refuse rows that do not meet the condition. No known event does so by itself."""
    with world.gateway.database.engine.begin() as connection:
        connection.execute(text(f"ALTER TABLE {table} ADD CONSTRAINT refusing CHECK ({condition})"))
    try:
        yield
    finally:
        with world.gateway.database.engine.begin() as connection:
            connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT refusing"))


def test_a_failed_batch_leaves_no_half_done_merge(world: World) -> None:
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    world.settle()
    before = mirror(world)
    [created] = world.stripe.v1.events.list({"type": "customer.subscription.created"}).data
    body = created.to_dict(for_json=True)
    body["data"]["object"] |= {"status": "past_due"}
    body |= {"id": "evt_test", "type": "customer.subscription.updated", "created": body["created"] + 100}
    # PostgreSQL refuses the second event in the middle of the merge that would have applied the first.
    invoice = next(each for each in world.stripe.v1.events.list({"type": "invoice.paid"})).to_dict(for_json=True)
    invoice["data"]["object"] |= {"number": "POISON"}
    invoice |= {"id": "evt_test_2", "created": body["created"]}
    for each in (body, invoice):
        deliver(world, orjson.dumps(each))
    [row] = [row for row in world.rows(WebhookEvent) if row.id == "evt_test_2"]
    assert row.state == "pending"
    with refusing(world, "invoices", "number <> 'POISON'"):
        drain.drain_inbox(world.gateway, HANDLERS)
    assert (state_of(world, "evt_test"), state_of(world, "evt_test_2")) == ("done", "failed")
    assert world.plan_row().status == "past_due"
    assert [each for each in mirror(world) if each[0] == "Invoice"] == [each for each in before if each[0] == "Invoice"]


def test_history_holds_every_plan_change_with_its_cause(world: World) -> None:
    live_a_little(world)
    world.settle()
    history = world.rows(PlanHistory)
    assert [(row.after["plan"], row.after["quantity"]) for row in history] == [
        ("free", 1),
        ("plus", 2),
        ("plus", 5),
        ("free", 1),
        ("plus", 1),
    ]
    assert all(row.cause.startswith(("chg_", "evt_")) for row in history)
    assert [row.version for row in history] == [1, 2, 3, 4, 5]
    assert all(row.before == earlier.after for row, earlier in zip(history[1:], history, strict=False))


def test_found_event_is_due_since_its_creation_but_not_later(world: World) -> None:
    now = world.gateway.clock()
    old, ahead = (event(id=f"evt_{i}", created=to_unix(now) + 3600 * hours) for i, hours in enumerate((-2, 1)))
    due = {row["id"]: row["next_attempt_at"] for row in gap.build_rows(world.gateway, [old, ahead])}
    assert due["evt_0"] == from_unix(old["created"])
    assert now <= due["evt_1"] <= world.gateway.clock()


def test_error_of_one_statement_is_no_outage(world: World) -> None:
    huge: dict[str, Any] = {
        "id": "price_1",
        "object": "price",
        "product": "prod_1",
        "lookup_key": "".join(chr(33 + i * 7 % 90) + str(i) for i in range(6000)),  # too long for an index entry
        "currency": "usd",
        "unit_amount": 1,
        "recurring": None,
        "active": True,
    }
    deliver(world, orjson.dumps(event(type="price.created", data={"object": huge})))
    deliver(world, orjson.dumps(event(id="evt_test_2", type="customer.updated")))
    drain.drain_inbox(world.gateway, HANDLERS)
    states = {row.id: row.state for row in world.rows(WebhookEvent) if row.id.startswith("evt_test")}
    assert states == {"evt_test": "failed", "evt_test_2": "ignored"}
