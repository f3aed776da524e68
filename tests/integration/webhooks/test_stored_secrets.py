"""No payload is kept without need, and no client secret longer than it is of use."""

import json
from typing import Any

import pytest
from sqlalchemy import text

from gateway.db.models import IdempotencyKey, PlanChange, WebhookEvent
from gateway.services.reconciliation import gap
from gateway.services.webhooks import replay
from gateway.services.webhooks.replay import Selection
from gateway.stripe_api import json_text
from handlers import HANDLERS, IGNORED
from tests.support.plans import charge_plus
from tests.support.stripe_events import deliver, event
from tests.support.world import World

SECRET = "seti_1_secret_2"


def payload_of(world: World, event_id: str) -> bytes | None:
    [row] = [each for each in world.rows(WebhookEvent) if each.id == event_id]
    return row.payload


@pytest.mark.parametrize("event_type", [*list(IGNORED)[:3], "topup.created"])
def test_ignored_type_keeps_its_row_and_not_its_payload(world: World, event_type: str) -> None:
    body = json.dumps(event(id="evt_ignored", type=event_type))
    assert [deliver(world, body).status_code for _ in range(2)] == [200, 200]
    [row] = [each for each in world.rows(WebhookEvent) if each.id == "evt_ignored"]
    assert (row.state, row.payload, row.type, row.object_id) == ("ignored", None, event_type, "cus_1")
    world.work()
    assert payload_of(world, "evt_ignored") is None


def test_ignored_type_of_another_mode_stays_rejected(world: World) -> None:
    deliver(world, json.dumps(event(id="evt_foreign", type="topup.created", livemode=True)))
    [row] = [each for each in world.rows(WebhookEvent) if each.id == "evt_foreign"]
    assert (row.state, row.payload) == ("rejected", None)


def test_unknown_customer_keeps_its_payload_for_a_replay(world: World) -> None:
    deliver(world, json.dumps(event(id="evt_unknown")))
    world.work()
    assert payload_of(world, "evt_unknown") is not None
    assert (
        replay.replay_events(world.gateway, replay.find_replayable(world.gateway, Selection(ids=["evt_unknown"]))) == 1
    )


def test_replay_passes_over_events_without_a_payload(world: World) -> None:
    deliver(world, json.dumps(event(id="evt_ignored", type="topup.created")))
    assert replay.find_replayable(world.gateway, Selection(ids=["evt_ignored"])) == []
    assert replay.replay_events(world.gateway, ["evt_ignored"]) == 0


@pytest.mark.usefixtures("api")
def test_gap_walk_does_not_store_an_ignored_event_again(world: World) -> None:
    ignored = [row.id for row in world.rows(WebhookEvent) if row.state == "ignored"]
    assert ignored
    list(gap.walk(world.gateway, HANDLERS))
    after = {row.id: row for row in world.rows(WebhookEvent)}
    assert {(after[each].state, after[each].payload, after[each].source) for each in ignored} == {
        ("ignored", None, "webhook")
    }


@pytest.mark.parametrize(
    "value",
    [
        {"client_secret": SECRET},
        {"setup_intent": {"client_secret": SECRET, "status": "succeeded"}},
        {"list": [{"client_secret": SECRET}, {"client_secret": SECRET}]},
        {"client_secret": 'quoted \\" and \\\\', "text": f'"client_secret": "{SECRET}"'},
        {"client_secret": None},
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_client_secrets_are_cut_and_nothing_else(value: dict[str, Any], indent: int | None) -> None:
    cut = json_text.without_client_secrets(json.dumps(value, indent=indent).encode())
    assert json.loads(cut) == without(value)


def without(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: None if name == "client_secret" else without(each) for name, each in value.items()}
    return [without(each) for each in value] if isinstance(value, list) else value


def test_delivery_is_stored_without_its_client_secret(world: World) -> None:
    card = {"id": "seti_1", "object": "setup_intent", "client_secret": SECRET, "payment_method": "pm_1"}
    body = json.dumps(event(id="evt_setup", type="setup_intent.succeeded", data={"object": card}))
    assert deliver(world, body).status_code == 200
    payload = payload_of(world, "evt_setup")
    assert payload is not None
    assert SECRET.encode() not in payload
    assert json.loads(payload)["data"]["object"] == card | {"client_secret": None}


def everything_stored(world: World) -> str:
    """Return all rows of all tables as text."""
    with world.gateway.database.transaction() as session:
        tables = session.scalars(text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"))
        rows = [str(row) for name in tables for row in session.execute(text(f'TABLE "{name}"'))]
    return "\n".join(rows)


def test_no_client_secret_of_a_card_is_stored_anywhere(world: World) -> None:
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    secret = api.ok("POST", "/billing-details/setup-intent")["client_secret"]
    world.stripe.v1.setup_intents.confirm(secret.split("_secret_")[0], {"payment_method": "pm_card_visa"})
    world.settle()
    assert "setup_intent.succeeded" in {row.type for row in world.rows(WebhookEvent)}
    assert secret not in everything_stored(world)


@pytest.fixture
def at_once(world: World) -> World:
    """Return a gateway whose Plus is charged immediately."""
    charge_plus(world)
    return world


def waiting_change(world: World) -> dict[str, Any]:
    """Return the answer to an upgrade that waits for its payment, and was sent with a key."""
    answer = world.client.patch("/v1/subscription", json={"plan": "plus"}, headers=keyed(world))
    found: dict[str, Any] = answer.get_json()
    assert found["state"] == "requires_action"
    return found


def keyed(world: World) -> dict[str, str]:
    return {"Authorization": f"Bearer {world.token()}", "Idempotency-Key": "click-1"}


def test_replayed_answer_has_the_secret_only_while_the_change_waits(at_once: World) -> None:
    world = at_once
    world.api().ok("POST", "/subscription", plan="free")
    world.api().add_card(world.stripe, "pm_card_authenticationRequired")
    first = waiting_change(world)
    [key] = world.rows(IdempotencyKey)
    assert first["client_secret"] not in str(key.body)
    again = world.client.patch("/v1/subscription", json={"plan": "plus"}, headers=keyed(world))
    assert (again.get_json(), again.headers["Idempotent-Replayed"]) == (first, "true")
    world.api().ok("DELETE", f"/subscription/changes/{first['id']}")
    ended = world.client.patch("/v1/subscription", json={"plan": "plus"}, headers=keyed(world))
    assert ended.get_json() == first | {"client_secret": None}
    assert first["client_secret"] not in everything_stored(world)
    assert [each.client_secret for each in world.rows(PlanChange)] == [None, None]
