"""Real processes receive duplicate, concurrent, out-of-order, late and foreign deliveries."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import orjson
import pytest

from tests.support.deployment import Deployment
from tests.support.json_types import Json
from tests.support.wait import eventually, poll

_numbers = count()


@pytest.fixture
def organization_id() -> str:
    """Return an organization id that no other test uses."""
    return f"org_delivery_{next(_numbers)}"


@pytest.fixture
def subscription(running: Deployment, organization_id: str) -> Json:
    """Enrol the organization, process all its events and return its subscription at Stripe."""
    ids = running.enrol(organization_id)
    eventually(running.all_done)
    return at_stripe(running, ids["subscription"])


def at_stripe(stage: Deployment, subscription_id: str) -> Json:
    return stage.stripe.v1.subscriptions.retrieve(subscription_id).to_dict(for_json=True)


def updated(subscription: Json, event_id: str, *, later: int, quantity: int, **changes: Any) -> bytes:
    """Return an event in which the quantity changed ``later`` seconds after the subscription began."""
    item = subscription["items"]["data"][0] | {"quantity": quantity}
    changed = subscription | {"items": subscription["items"] | {"data": [item]}, "quantity": quantity}
    event = {
        "id": event_id,
        "object": "event",
        "type": "customer.subscription.updated",
        "api_version": "2026-10-28.endive",
        "created": subscription["created"] + later,
        "livemode": False,
        "data": {"object": changed, "previous_attributes": {"items": subscription["items"]}},
    }
    return orjson.dumps(event | changes)


def deliver_all(stage: Deployment, bodies: list[bytes]) -> None:
    """Deliver all events over eight connections and check that each is acknowledged."""
    with ThreadPoolExecutor(8) as connections:
        assert {answer.status_code for answer in connections.map(stage.deliver, bodies)} == {200}


def history(stage: Deployment, organization_id: str) -> list[tuple[str, int]]:
    return stage.rows(
        "SELECT after ->> 'plan', (after ->> 'quantity')::int FROM plan_history"
        " WHERE organization_id = %s ORDER BY version",
        organization_id,
    )


def test_same_event_on_eight_connections_has_one_row_and_one_effect(
    running: Deployment, organization_id: str, subscription: Json
) -> None:
    event_id = f"evt_once_{organization_id}"
    deliver_all(running, [updated(subscription, event_id, later=60, quantity=7)] * 8)
    eventually(running.all_done)
    assert running.states(event_id) == ["done"]
    assert history(running, organization_id) == [("free", 1), ("free", 7)]


def test_deliveries_of_one_commit_are_logged_with_their_own_ids(
    running: Deployment, organization_id: str, subscription: Json
) -> None:
    ids = [f"evt_{number}_{organization_id}" for number in range(80)]
    bodies = [updated(subscription, event_id, later=60, quantity=7) for event_id in ids]
    with ThreadPoolExecutor(16) as connections:
        answers = list(connections.map(running.deliver, bodies))
    sent = {event_id: answer.headers["X-Request-Id"] for event_id, answer in zip(ids, answers, strict=True)}

    def logged() -> list[Json]:  # the web process logs a request after it has answered
        ended, _, _ = running.said().rpartition("\n")
        lines = [json.loads(line) for line in ended.splitlines()]
        return [line for line in lines if line["event"] == "request" and line.get("event_id") in sent]

    lines = poll(logged, lambda lines: len(lines) >= len(sent))
    assert {line["event_id"]: line["request_id"] for line in lines} == sent
    assert len(lines) == len(sent)


def test_one_change_under_two_event_ids_has_one_effect(
    running: Deployment, organization_id: str, subscription: Json
) -> None:
    ids = [f"evt_twin{number}_{organization_id}" for number in range(2)]
    for event_id in ids:
        deliver_all(running, [updated(subscription, event_id, later=60, quantity=7)])
        eventually(running.all_done)
    assert running.states(*ids) == ["done", "done"]
    assert history(running, organization_id) == [("free", 1), ("free", 7)]


def test_event_older_than_the_stored_state_writes_nothing(
    running: Deployment, organization_id: str, subscription: Json
) -> None:
    deliver_all(running, [updated(subscription, f"evt_new_{organization_id}", later=60, quantity=7)])
    eventually(running.all_done)
    deliver_all(running, [updated(subscription, f"evt_old_{organization_id}", later=30, quantity=9)])
    eventually(running.all_done)
    assert running.states(f"evt_old_{organization_id}") == ["done"]
    assert history(running, organization_id) == [("free", 1), ("free", 7)]


@pytest.mark.parametrize("order", ["newest first, one by one", "in any order and repeated, all at once"])
def test_updates_of_one_second_out_of_order_end_in_the_last_one(
    running: Deployment, organization_id: str, subscription: Json, order: str
) -> None:
    running.fault("webhook_dropped", times=1000)
    item = subscription["items"]["data"][0]["id"]
    for quantity in range(2, 8):
        running.stripe.v1.subscriptions.update(subscription["id"], {"items": [{"id": item, "quantity": quantity}]})
    about = [
        each.to_dict(for_json=True)
        for each in running.stripe.v1.events.list({"type": "customer.subscription.updated", "limit": 100})
        if each.data.object["id"] == subscription["id"]
    ]
    assert len({event["created"] for event in about}) < len(about) == 6, "no two updates were in the same second"
    if order.startswith("newest"):
        for event in about:
            deliver_all(running, [orjson.dumps(event)])
    else:
        twins = [{**event, "id": f"{event['id']}twin"} for event in about]
        bodies = [orjson.dumps(event) for event in about * 2 + twins]
        random.shuffle(bodies)
        deliver_all(running, bodies)
    eventually(running.all_done)
    assert running.plan(organization_id) == ("free", 7)


@pytest.mark.parametrize("first", ["webhook", "answer"])
def test_webhook_and_answer_have_one_effect_in_either_order(
    running: Deployment, organization_id: str, subscription: Json, first: str
) -> None:
    if first == "webhook":
        # The SDK repeats the call only after half a second, when the webhook has arrived.
        running.fault("response_lost", method="POST", path=f"/v1/subscriptions/{subscription['id']}")
    else:
        running.fault("webhook_burst", count=1000)  # hold the webhooks back
    change = running.ok(organization_id, "PATCH", "/subscription", plan="plus")
    [fault] = running.faults()
    assert fault["held" if first == "answer" else "fired"] > 0
    running.end_faults()
    state = "SELECT state FROM plan_changes WHERE id = %s"
    eventually(lambda: running.rows(state, change["id"]) == [("applied",)])
    updates = "SELECT count(*) FROM webhook_events WHERE object_id = %s AND type = 'customer.subscription.updated'"
    eventually(lambda: running.number(updates, subscription["id"]) == 1 and running.all_done())
    assert history(running, organization_id) == [("free", 1), ("plus", 1)]
    cause = "SELECT cause FROM plan_history WHERE organization_id = %s ORDER BY version DESC LIMIT 1"
    assert running.rows(cause, organization_id)[0][0].startswith("evt_" if first == "webhook" else "chg_")


def test_unknown_customer_is_ignored_until_reconciliation_finds_it(
    running: Deployment, organization_id: str, subscription: Json
) -> None:
    # Pretend that the gateway has never heard of the customer.
    forget = (
        "UPDATE organizations SET stripe_customer_id = NULL, as_of = NULL, source = NULL, trail = '{}' WHERE id = %s"
    )
    running.rows(forget, organization_id)
    running.rows("DELETE FROM subscriptions WHERE id = %s", subscription["id"])
    item = subscription["items"]["data"][0]["id"]
    running.stripe.v1.subscriptions.update(subscription["id"], {"items": [{"id": item, "quantity": 5}]})
    event = "SELECT state FROM webhook_events WHERE object_id = %s AND type = 'customer.subscription.updated'"
    eventually(lambda: running.rows(event, subscription["id"]) == [("ignored",)])
    assert running.plan(organization_id) == ("free", 1)
    reconciled = running.command("reconcile")
    assert organization_id in reconciled.stdout, reconciled.stdout + reconciled.stderr
    assert running.plan(organization_id) == ("free", 5)


def test_deleted_customer_ends_on_free_and_no_late_event_revives_it(
    running: Deployment, organization_id: str, subscription: Json
) -> None:
    running.ok(organization_id, "PATCH", "/subscription", plan="plus")
    plus = at_stripe(running, subscription["id"])
    running.stripe.v1.customers.delete(subscription["customer"])
    eventually(lambda: running.plan(organization_id)[0] == "free")
    deliver_all(running, [updated(plus, f"evt_late_{organization_id}", later=3600, quantity=9)])
    eventually(running.all_done)
    assert running.states(f"evt_late_{organization_id}") == ["done"]
    assert running.plan(organization_id)[0] == "free"


def test_unhandled_type_is_ignored_and_upcoming_invoice_needs_no_id(
    running: Deployment, organization_id: str, subscription: Json
) -> None:
    invoice = running.stripe.v1.invoices.create_preview({"subscription": subscription["id"]}).to_dict(for_json=True)
    invoice.pop("id", None)
    ids = [f"evt_{name}_{organization_id}" for name in ("unhandled", "upcoming")]
    charge = {"id": "ch_1", "object": "charge"}
    deliver_all(
        running,
        [
            updated(subscription, ids[0], later=0, quantity=1, type="charge.succeeded", data={"object": charge}),
            updated(subscription, ids[1], later=0, quantity=1, type="invoice.upcoming", data={"object": invoice}),
        ],
    )
    eventually(running.all_done)
    assert running.states(*ids) == ["ignored", "done"]
    assert running.ok(organization_id, "GET", "/subscription")["upcoming_charges"] is not None


@pytest.mark.parametrize("foreign", [{"livemode": True}, {"account": "acct_1"}], ids=["livemode", "account"])
def test_event_of_another_mode_or_account_is_rejected(
    running: Deployment, organization_id: str, subscription: Json, foreign: Json
) -> None:
    event_id = f"evt_foreign_{organization_id}"
    deliver_all(running, [updated(subscription, event_id, later=60, quantity=7, **foreign)])
    deliver_all(running, [updated(subscription, f"evt_ours_{organization_id}", later=50, quantity=6)])
    eventually(lambda: running.plan(organization_id) == ("free", 6))
    assert running.states(event_id) == ["rejected"]


def test_event_of_another_api_version_causes_a_refresh(
    running: Deployment, organization_id: str, subscription: Json
) -> None:
    event_id = f"evt_version_{organization_id}"
    deliver_all(running, [updated(subscription, event_id, later=60, quantity=7, api_version="2024-06-20")])
    source = "SELECT source FROM subscriptions WHERE id = %s"
    eventually(lambda: running.rows(source, subscription["id"]) == [("refresh",)])
    assert running.states(event_id) == ["done"]
    assert running.plan(organization_id) == ("free", 1)


@pytest.mark.parametrize("archived", [False, True], ids=["unknown", "archived"])
def test_price_of_no_plan_grants_nothing_and_raises_an_alarm(
    running: Deployment, organization_id: str, subscription: Json, *, archived: bool
) -> None:
    running.ok(organization_id, "PATCH", "/subscription", plan="plus")
    product = running.stripe.v1.products.create({"name": "Unmapped"})
    move_to_price_of(running, subscription, product.id, quantity=2, archived=archived)
    eventually(lambda: running.plan(organization_id) == ("unmapped", 2))
    assert running.ok(organization_id, "GET", "/subscription")["plan"] == "unmapped"
    alarms = [line for line in running.said().splitlines() if "plan_unmapped" in line]
    assert any(f'"{organization_id}"' in line for line in alarms)


def test_archived_price_of_a_plan_keeps_the_plan(running: Deployment, organization_id: str, subscription: Json) -> None:
    running.ok(organization_id, "PATCH", "/subscription", plan="plus")
    [(plus,)] = running.rows("SELECT product_id FROM plans WHERE key = 'plus'")
    move_to_price_of(running, subscription, plus, quantity=2, archived=True)
    eventually(lambda: running.plan(organization_id) == ("plus", 2))
    assert running.ok(organization_id, "GET", "/subscription")["plan"] == "plus"


def move_to_price_of(
    running: Deployment, subscription: Json, product_id: str, *, quantity: int, archived: bool = False
) -> None:
    """Put the subscription on another price of a product, as sales does.

    Change ``quantity`` last, so that the event with the new quantity comes after the price was archived.
    """
    price = running.stripe.v1.prices.create(
        {"product": product_id, "currency": "usd", "unit_amount": 100, "recurring": {"interval": "month"}}
    )
    item = subscription["items"]["data"][0]["id"]
    running.stripe.v1.subscriptions.update(subscription["id"], {"items": [{"id": item, "price": price.id}]})
    if archived:
        running.stripe.v1.prices.update(price.id, {"active": False})
    running.stripe.v1.subscriptions.update(subscription["id"], {"items": [{"id": item, "quantity": quantity}]})
