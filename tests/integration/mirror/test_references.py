"""The gateway looks up objects that an event only names or shows in an unreadable shape, but only if necessary."""

import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from gateway.app import build_gateway
from gateway.db import jobs
from gateway.db.models import Invoice, Organization, PaymentMethod, Plan, Subscription, UpcomingInvoice, WebhookEvent
from gateway.sandbox import Sandbox
from gateway.stripe_api.times import to_unix
from tests.support.database import state_of
from tests.support.faults import request_fault
from tests.support.jobs import job_states, run_delayed_jobs
from tests.support.plans import live_a_little, settled_on_plus
from tests.support.recorded_events import ABSENT, changed, payload
from tests.support.stripe_events import deliver, event
from tests.support.world import World

LOOKUPS = (jobs.REFRESH, jobs.LOOK_UP)


def count_lookups(world: World) -> Counter[str]:
    """Count the jobs that call Stripe or may call it, by task."""
    query = text("SELECT task_name FROM procrastinate_jobs WHERE task_name = ANY(:names)")
    with world.gateway.database.transaction() as session:
        return Counter(session.scalars(query, {"names": list(LOOKUPS)}))


def forget_jobs(world: World) -> None:
    with world.gateway.database.transaction() as session:
        session.execute(text("DELETE FROM procrastinate_jobs"))


def deliver_recorded(world: World, name: str, **of: Any) -> str:
    """Deliver and process a recorded event about other objects. Return the event's state."""
    at = of.pop("created")
    body = changed(name, of) | {"id": "evt_test", "created": at} | of.pop("event", {})
    deliver(world, json.dumps(body))
    world.work()
    return state_of(world, "evt_test")


@pytest.fixture
def subscribed(world: World) -> Subscription:
    """Put an organization on Plus, process all events and return its subscription."""
    settled_on_plus(world)
    run_delayed_jobs(world)
    forget_jobs(world)
    return world.rows(Subscription)[0]


def owner(world: World) -> str:
    with world.gateway.database.transaction() as session:
        found = session.scalar(select(text("stripe_customer_id")).select_from(text("organizations")))
    assert found is not None
    return str(found)


def test_object_that_the_mirror_knows_is_not_looked_up(world: World, subscribed: Subscription) -> None:
    assert subscribed.as_of is not None
    names = {"subscription": subscribed.id, "customer": owner(world), "created": to_unix(subscribed.as_of)}
    assert deliver_recorded(world, "subscription_schedule.updated", **names) == "done"
    assert not count_lookups(world)


def test_object_without_an_own_event_is_looked_up_later(world: World, subscribed: Subscription) -> None:
    assert subscribed.as_of is not None
    world.stripe.v1.subscriptions.update(subscribed.id, {"cancel_at_period_end": True})
    at = to_unix(subscribed.as_of + timedelta(seconds=1))
    names = {"subscription": subscribed.id, "customer": owner(world), "created": at}
    world.await_deliveries()
    with world.gateway.database.transaction() as session:  # pretend that its own event was lost
        session.execute(text("DELETE FROM webhook_events WHERE state = 'pending'"))
    assert deliver_recorded(world, "subscription_schedule.updated", **names) == "done"
    assert count_lookups(world) == {jobs.LOOK_UP: 1}
    run_delayed_jobs(world)
    assert count_lookups(world) == {jobs.LOOK_UP: 1, jobs.REFRESH: 1}
    assert world.rows(Subscription)[0].source == "refresh"


def test_object_that_another_event_shows_is_not_looked_up(world: World, subscribed: Subscription) -> None:
    assert subscribed.as_of is not None
    at = to_unix(subscribed.as_of + timedelta(seconds=1))
    names = {"subscription": subscribed.id, "customer": owner(world), "created": at}
    assert deliver_recorded(world, "subscription_schedule.updated", **names) == "done"
    with world.gateway.database.transaction() as session:  # pretend that another event showed it
        session.get_one(Subscription, subscribed.id).as_of = subscribed.as_of + timedelta(seconds=1)
    run_delayed_jobs(world)
    assert count_lookups(world) == {jobs.LOOK_UP: 1}


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("checkout.session.completed", ("customer", "subscription")),
        ("credit_note.created", ("customer", "invoice")),
        ("invoice_payment.paid", ("invoice",)),
        ("setup_intent.succeeded", ("customer", "payment_method")),
        ("subscription_schedule.updated", ("customer", "subscription")),
    ],
)
def test_object_of_a_foreign_customer_is_ignored_without_a_call(
    world: World, name: str, members: tuple[str, ...]
) -> None:
    others = {each: f"{each}_of_somebody_else" for each in members}
    assert deliver_recorded(world, name, created=1_795_000_000, **others) == "ignored"
    assert not count_lookups(world)


@pytest.mark.usefixtures("subscribed")
def test_unknown_object_of_our_customer_is_looked_up(world: World) -> None:
    card = world.stripe.v1.payment_methods.attach("pm_card_mastercard", {"customer": owner(world)}).id
    with world.gateway.database.transaction() as session:
        session.execute(text("DELETE FROM webhook_events WHERE state = 'pending'"))
    at = to_unix(world.gateway.clock())
    assert (
        deliver_recorded(world, "setup_intent.succeeded", created=at, customer=owner(world), payment_method=card)
        == "done"
    )
    run_delayed_jobs(world)
    assert card in {row.id for row in world.rows(PaymentMethod)}


def test_unreadable_object_of_a_stranger_costs_no_call(world: World) -> None:
    broken = {"id": "sub_x", "object": "subscription", "status": "a new status", "customer": "cus_x"}
    deliver(world, json.dumps(event(type="customer.subscription.updated", data={"object": broken})))
    world.work()
    assert state_of(world, "evt_test") == "ignored"
    assert not count_lookups(world)


@pytest.mark.parametrize(
    "odd",
    [
        {"object": {"metadata": None}},
        {"object": {"metadata": ABSENT}},
        {"object": {"metadata": 5}},
        {"object": {"object": ABSENT}},
        {"previous_attributes": "name"},
        {"previous_attributes": ["name"]},
    ],
    ids=["no metadata", "metadata missing", "odd metadata", "of no kind", "odd previous", "another odd previous"],
)
@pytest.mark.usefixtures("subscribed")
def test_only_a_known_customer_of_an_odd_shape_is_looked_up(
    world: World, sandbox: Sandbox, odd: dict[str, Any]
) -> None:
    request_fault(sandbox.url, kind="webhook_dropped", times=10_000)
    world.stripe.v1.customers.update(owner(world), {"name": "As Stripe knows it"})
    [newest, *_] = world.stripe.v1.events.list({"type": "customer.updated"}).data
    body: Any = newest.to_dict(for_json=True) | {"id": "evt_test", "created": newest.created + 60}
    shown = body["data"]["object"] | {"name": "As nobody knows it"} | odd.get("object", {})
    body["data"] |= odd | {"object": {name: value for name, value in shown.items() if value is not ABSENT}}
    deliver(world, json.dumps(body))
    body["data"]["object"] |= {"id": "cus_x"} | ({} if "metadata" in odd.get("object", {}) else {"metadata": {}})
    deliver(world, json.dumps(body | {"id": "evt_other"}))
    world.work()
    assert (state_of(world, "evt_test"), state_of(world, "evt_other")) == ("done", "ignored")
    assert world.rows(Organization)[0].name == "As Stripe knows it"
    assert count_lookups(world)[jobs.REFRESH] == 1


def test_an_unreadable_product_is_looked_up(world: World) -> None:
    [plus] = [plan for plan in world.rows(Plan) if plan.key == "plus"]
    world.stripe.v1.products.update(plus.product_id, {"name": "Plus for teams"})
    broken = {"id": plus.product_id, "object": "product"}
    deliver(world, json.dumps(event(type="product.updated", data={"object": broken})))
    world.settle()
    assert {plan.name for plan in world.rows(Plan) if plan.key == "plus"} == {"Plus for teams"}
    assert state_of(world, "evt_test") == "done"
    assert count_lookups(world)[jobs.REFRESH] == 1


@pytest.mark.usefixtures("subscribed")
def test_subscription_in_the_pre_basil_shape_is_looked_up(world: World) -> None:
    [created] = world.stripe.v1.events.list({"type": "customer.subscription.created"}).data
    old: Any = created.to_dict(for_json=True) | {"id": "evt_test", "created": created.created + 60}
    for item in old["data"]["object"]["items"]["data"]:
        for name in ("current_period_start", "current_period_end"):
            old["data"]["object"][name] = item.pop(name) + 5
    deliver(world, json.dumps(old | {"type": "customer.subscription.updated"}))
    world.work()
    assert state_of(world, "evt_test") == "done"
    assert world.plan_row().current_period_end is not None
    assert world.rows(Subscription)[0].source == "refresh"


def test_invoice_in_the_pre_basil_shape_is_looked_up(world: World, subscribed: Subscription) -> None:
    invoice = world.rows(Invoice)[0]
    old = changed("invoice.updated", {"id": invoice.id, "customer": owner(world), "subscription": subscribed.id})
    del old["data"]["object"]["parent"]
    deliver(world, json.dumps(old | {"id": "evt_test"}))
    world.work()
    assert state_of(world, "evt_test") == "done"
    assert world.rows(Invoice)[0].source == "refresh"
    assert world.rows(Invoice)[0].total == invoice.total


@pytest.mark.parametrize("version", ["2026-10-28.endive", "2024-06-20"])
def test_upcoming_invoice_in_the_pre_basil_shape_is_recalculated(
    world: World, subscribed: Subscription, version: str
) -> None:
    old = payload("invoice.upcoming") | {"id": "evt_test", "api_version": version}
    old["data"]["object"] |= {"customer": owner(world), "subscription": subscribed.id, "amount_due": 1}
    del old["data"]["object"]["parent"]
    deliver(world, json.dumps(old))
    world.work()
    assert state_of(world, "evt_test") == "done"
    [row] = world.rows(UpcomingInvoice)
    preview = world.stripe.v1.invoices.create_preview({"subscription": subscribed.id})
    assert (row.subscription_id, row.amount_due) == (subscribed.id, preview.amount_due)


def test_unreadable_announcement_of_an_ended_one_fails_no_job(world: World, subscribed: Subscription) -> None:
    old = payload("invoice.upcoming") | {"id": "evt_test"}
    old["data"]["object"] |= {"customer": owner(world), "subscription": subscribed.id}
    del old["data"]["object"]["parent"]
    forget_jobs(world)
    world.stripe.v1.subscriptions.cancel(subscribed.id)
    deliver(world, json.dumps(old))
    world.work()
    assert world.rows(UpcomingInvoice) == []
    with world.gateway.database.transaction() as session:
        assert session.scalar(text("SELECT count(*) FROM procrastinate_jobs WHERE status = 'failed'")) == 0


def test_references_are_read_in_every_api_version(world: World, subscribed: Subscription) -> None:
    assert subscribed.as_of is not None
    names = {"subscription": subscribed.id, "customer": owner(world), "created": to_unix(subscribed.as_of)}
    version = {"api_version": "2024-06-20"}
    assert deliver_recorded(world, "checkout.session.completed", **names, event=version) == "done"


def test_lookup_with_a_refused_key_succeeds_once_the_key_is_right(
    world: World, subscribed: Subscription, sandbox: Sandbox
) -> None:
    request_fault(
        sandbox.url, kind="webhook_dropped", times=10_000
    )  # only an unreadable event reports the cancellation
    world.stripe.v1.subscriptions.cancel(subscribed.id)
    broken = {"id": subscribed.id, "object": "subscription", "status": "a new status"}
    deliver(world, json.dumps(event(type="customer.subscription.updated", data={"object": broken})))
    revoked = build_gateway(replace(world.gateway.config, stripe_secret_key="revoked"))
    replace(world, gateway=revoked).work()
    revoked.database.close()
    assert state_of(world, "evt_test") == "done"
    assert job_states(world, jobs.REFRESH) == ["succeeded", "todo"]
    run_delayed_jobs(world)
    assert world.plan_row().status == "canceled"


def test_ordinary_events_cause_few_refreshes(world: World) -> None:
    live_a_little(world)
    world.settle()
    run_delayed_jobs(world)
    assert count_lookups(world)[jobs.REFRESH] < 0.2 * len(world.rows(WebhookEvent))
