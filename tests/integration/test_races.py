"""What only goes wrong when two things meet: each of these once did."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from procrastinate.jobs import Status
from sqlalchemy import select, text, update

from gateway.app import build_gateway
from gateway.db import jobs
from gateway.db.models import Organization, PlanChange, Price, Subscription, WebhookEvent
from gateway.services.mirror.merge import merge
from gateway.services.mirror.refresh import run_refresh_job
from gateway.services.mirror.refresh_jobs import defer_refresh
from gateway.services.plan_changes.execute import finish_change
from gateway.services.plan_changes.request import write_intent
from gateway.services.webhooks import drain
from gateway.services.webhooks import wakeup as wakeup_module
from gateway.services.webhooks.wakeup import Wakeup, defer_drain
from gateway.stripe_api.snapshots import SubscriptionSnapshot
from gateway.tasks import build_worker
from handlers import HANDLERS
from schemas.subscription import ChangeCommand
from tests.support.jobs import job_states, set_job_state
from tests.support.stripe_events import deliver, event
from tests.support.wait import eventually
from tests.support.world import CALLER, World

NOWHERE = "http://127.0.0.1:1"


def test_a_refresh_of_a_killed_worker_does_not_block_the_one_that_waits_behind_it(world: World) -> None:
    world.api().ok("POST", "/subscription", plan="free")
    world.settle()
    subscription = world.rows(Subscription)[0]
    world.stripe.v1.subscriptions.cancel(subscription.id)  # of which no webhook is worked off
    with world.gateway.database.transaction() as session:
        defer_refresh(session, "subscription", subscription.id)
    set_job_state(world, jobs.REFRESH, Status.DOING)
    with world.gateway.database.transaction() as session:
        defer_refresh(session, "subscription", subscription.id)
    assert job_states(world, jobs.REFRESH) == ["doing", "todo"]

    worker = build_worker(world.gateway)
    with worker.open():
        worker.configure_task("gateway.retry_stalled_jobs").defer(timestamp=0)
    world.work()
    world.work()
    assert job_states(world, jobs.REFRESH) == ["succeeded"]
    assert world.plan_row().status == "canceled"


def test_a_refresh_with_stripe_away_leaves_a_successor_for_later(world: World) -> None:
    world.api().ok("POST", "/subscription", plan="free")
    world.settle()
    broken = build_gateway(replace(world.gateway.config, stripe_api_base=NOWHERE))
    run_refresh_job(broken, "subscription", world.rows(Subscription)[0].id, 1)
    broken.database.close()
    assert job_states(world, jobs.REFRESH) == ["todo"]


def test_a_change_that_cannot_be_looked_up_for_a_day_is_given_up_and_blocks_nobody(world: World) -> None:
    world.api().ok("POST", "/subscription", plan="free")
    world.api().add_card(world.stripe)
    change_id = write_intent(world.gateway, CALLER, ChangeCommand(plan="plus"), None, card=True).change_id
    broken = build_gateway(replace(world.gateway.config, stripe_api_base=NOWHERE))
    finish_change(replace(broken, clock=lambda: datetime.now(UTC) + timedelta(hours=24)), change_id)
    broken.database.close()
    assert [row.state for row in world.rows(PlanChange) if row.id == change_id] == ["abandoned"]


def test_a_price_that_vanishes_before_the_second_call_ends_the_change(world: World) -> None:
    api = world.api()
    api.add_card(world.stripe)
    wanted = ChangeCommand(plan="plus", enroll=True)
    change_id = write_intent(world.gateway, CALLER, wanted, None, card=True).change_id
    with world.gateway.database.transaction() as session:
        session.execute(update(Price).values(active=False))
    finish_change(world.gateway, change_id)
    assert [row.state for row in world.rows(PlanChange) if row.id == change_id] == ["failed"]
    assert api.problem("PATCH", "/subscription", plan="plus") == (503, "catalog_not_synced")
    assert world.api("org_2").problem("POST", "/subscription", plan="free") == (503, "catalog_not_synced")


def test_while_stripe_moves_a_lookup_key_the_price_that_got_it_last_is_sold(world: World) -> None:
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    api.add_card(world.stripe)
    with world.gateway.database.transaction() as session:
        present = session.scalars(select(Price).where(Price.lookup_key == "konnect_plus_usd_month")).one()
        columns = {name: getattr(present, name) for name in Price.__table__.columns.keys()}  # noqa: SIM118 - no mapping
        session.add(Price(**columns | {"id": "price_that_had_it", "as_of": datetime(2020, 1, 1, tzinfo=UTC)}))
    api.ok("PATCH", "/subscription", plan="plus")
    assert world.rows(Subscription)[0].items[0]["price_id"] == present.id


def test_a_product_that_is_mapped_while_a_subscription_to_it_is_merged_is_not_missed(world: World) -> None:
    world.api().ok("POST", "/subscription", plan="free")
    world.settle()
    product = world.stripe.v1.products.create({"name": "Custom", "metadata": {"konnect_plan": "plus"}})
    price = world.stripe.v1.prices.create(
        {"product": product.id, "currency": "usd", "unit_amount": 0, "recurring": {"interval": "month"}}
    )
    eventually(lambda: any(row.object_id == product.id for row in world.rows(WebhookEvent)))
    subscription = world.stripe.v1.subscriptions.retrieve(world.rows(Subscription)[0].id)
    item = subscription.to_dict()["items"]["data"][0]["id"]
    moved = world.stripe.v1.subscriptions.update(
        subscription.id, {"items": [{"id": item, "price": price.id, "quantity": 1}]}
    )
    revision = world.rows(Subscription)[0].revision
    snapshot = SubscriptionSnapshot.from_answer(moved, cause="test", after_revision=revision)
    with ThreadPoolExecutor(1) as other:
        with world.gateway.database.transaction() as session:
            merge(session, [snapshot], world.gateway.clock())  # the catalogue does not know the product yet
            product_event = other.submit(drain.drain_inbox, world.gateway, HANDLERS)
            threading.Event().wait(0.3)  # the drain has had the time to go past, if nothing held it
        product_event.result()
    assert world.plan_row().plan == "plus"


def test_a_drain_that_fails_does_not_swallow_the_wake_ups_after_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("once")

    with monkeypatch.context() as broken:
        broken.setattr("gateway.services.webhooks.drain_loop.drain_batch", fail)  # stands for any accident in the job
        deliver(world, orjson.dumps(event(type="topup.created")))
        eventually(lambda: job_states(world, jobs.DRAIN_INBOX) != [])
        world.work()
    deliver(world, orjson.dumps(event(id="evt_test_2", type="topup.created")))
    eventually(lambda: "todo" in job_states(world, jobs.DRAIN_INBOX))
    world.work()
    assert {row.state for row in world.rows(WebhookEvent) if row.id.startswith("evt_test")} == {"ignored"}


def test_one_statements_trouble_is_not_taken_for_an_outage(world: World) -> None:
    huge: dict[str, Any] = {
        "id": "price_1",
        "object": "price",
        "product": "prod_1",
        "lookup_key": "".join(chr(33 + i * 7 % 90) + str(i) for i in range(6000)),  # beyond what an index entry holds
        "currency": "usd",
        "unit_amount": 1,
        "recurring": None,
        "active": True,
    }
    deliver(world, orjson.dumps(event(type="price.created", data={"object": huge})))
    deliver(world, orjson.dumps(event(id="evt_test_2", type="topup.created")))
    drain.drain_inbox(world.gateway, HANDLERS)
    states = {row.id: row.state for row in world.rows(WebhookEvent) if row.id.startswith("evt_test")}
    assert states == {"evt_test": "failed", "evt_test_2": "ignored"}


def test_the_wake_up_outlives_whatever_the_database_says(world: World) -> None:
    wakeup = Wakeup(world.gateway.database)
    with world.gateway.database.transaction() as session:
        session.execute(text("ALTER TABLE procrastinate_jobs RENAME TO gone"))
    try:
        wakeup.request_drain()
        eventually(lambda: not wakeup._requested.is_set())  # noqa: SLF001 - nothing outside shows that it has tried
    finally:
        with world.gateway.database.transaction() as session:
            session.execute(text("ALTER TABLE gone RENAME TO procrastinate_jobs"))
    wakeup.request_drain()
    wakeup.close()
    assert "todo" in job_states(world, jobs.DRAIN_INBOX)


def test_no_drain_is_queued_beside_one_that_runs_until_a_second_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    defer_drain(world.gateway.database)
    with world.gateway.database.transaction() as session:  # as a worker has it that died meanwhile
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


def test_what_was_asked_for_last_is_queued_beside_one_that_runs(world: World) -> None:
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


def test_a_redelivery_does_not_wait_for_the_worker_that_holds_the_event(world: World) -> None:
    body = orjson.dumps(event())
    deliver(world, body)
    with world.gateway.database.transaction() as session:
        session.execute(update(WebhookEvent).values(state="failed"))
    with ThreadPoolExecutor(1) as other, world.gateway.database.transaction() as session:
        session.execute(select(WebhookEvent).where(WebhookEvent.id == "evt_test").with_for_update())
        assert other.submit(deliver, world, body).result(timeout=2).status_code == 200


def test_ids_that_people_chose_are_taken(world: World) -> None:
    world.stripe.v1.products.create({"id": "gold-plan.1", "name": "Gold", "metadata": {"konnect_plan": "plus"}})
    world.settle()
    assert "gold-plan.1" in {row.object_id for row in world.rows(WebhookEvent)}


def test_a_subscription_that_sales_made_is_adopted_and_not_doubled(world: World) -> None:
    api = world.api()
    api.ok("POST", "/billing-details/setup-intent")  # the organization has a customer, and nothing else
    customer = world.rows(Organization)[0].stripe_customer_id or ""
    [price] = world.stripe.v1.prices.list({"lookup_keys": ["konnect_free_usd_month"]}).data
    world.stripe.v1.subscriptions.create({"customer": customer, "items": [{"price": price.id}]})
    with world.gateway.database.transaction() as session:  # its webhook was lost
        session.execute(text("TRUNCATE webhook_events"))
    assert api.ok("POST", "/subscription", plan="free")["state"] == "applied"
    assert len(world.stripe.v1.subscriptions.list({"customer": customer}).data) == 1


def test_a_deleted_default_card_pays_for_no_upgrade(world: World) -> None:
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    card = api.add_card(world.stripe)
    assert api("DELETE", f"/payment-methods/{card}").status_code == 204
    assert api.problem("PATCH", "/subscription", plan="plus") == (402, "payment_method_required")


def test_the_card_of_an_upgrade_on_its_way_cannot_be_deleted(world: World) -> None:
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    card = api.add_card(world.stripe)
    write_intent(world.gateway, CALLER, ChangeCommand(plan="plus"), None, card=True)
    assert api.problem("DELETE", f"/payment-methods/{card}") == (409, "default_payment_method")


def test_only_post_enrols(world: World) -> None:
    api = world.api()
    assert api.problem("DELETE", "/subscription") == (409, "not_enrolled")
    assert api.problem("PATCH", "/subscription", quantity=1) == (409, "not_enrolled")
    assert world.stripe.v1.customers.list().data == []


def test_a_quantity_that_is_not_named_stays(world: World) -> None:
    api = world.api()
    api.add_card(world.stripe)
    api.ok("POST", "/subscription", plan="plus", quantity=5)
    assert api.problem("PATCH", "/subscription", plan="plus") == (409, "no_change")
    assert api.ok("GET", "/subscription")["quantity"] == 5


@pytest.mark.parametrize("api_version", ["2026-10-28.endive", "2019-01-01"])
def test_a_card_detached_before_it_was_heard_of_does_not_come_back(world: World, api_version: str) -> None:
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    card = api.add_card(world.stripe)
    world.stripe.v1.payment_methods.detach(card)
    events = [each for each in world.stripe.v1.events.list({"limit": 100}) if each.type.startswith("payment_method.")]
    with world.gateway.database.transaction() as session:
        session.execute(text("TRUNCATE webhook_events, payment_methods"))
    for each in events:  # newest first: detached before attached
        deliver(world, orjson.dumps({**each.to_dict(for_json=True), "api_version": api_version}))
        world.work()
    assert api.ok("GET", "/subscription")["payment_method"] is None
    with world.gateway.database.transaction() as session:
        assert session.scalar(text("SELECT detached FROM payment_methods")) is True
