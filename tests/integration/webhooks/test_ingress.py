"""The endpoint stores what it acknowledges, and acknowledges only what Stripe signed."""

import gc
import io
import json
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import select, text, update
from werkzeug.test import EnvironBuilder, run_wsgi_app

from gateway.app import build_gateway, create_app
from gateway.config import MAX_BODY_BYTES
from gateway.db import writer
from gateway.db.models import WebhookEvent
from gateway.endpoints.request_context import EXTENSION
from gateway.errors import DatabaseUnavailable
from gateway.services.webhooks.inbox import Inbox
from handlers import HANDLERS
from tests.support.api import problem_of
from tests.support.stripe_events import WEBHOOK_SECRET, deliver, event, signature
from tests.support.world import World

BODY = json.dumps(event())


def stored(world: World) -> list[WebhookEvent]:
    return [row for row in world.rows(WebhookEvent) if row.id.startswith("evt_test")]


def test_signed_event_is_stored_unchanged_and_acknowledged(world: World) -> None:
    body = json.dumps(event(), indent=1)
    assert deliver(world, body).status_code == 200
    [row] = stored(world)
    assert (row.payload, row.state, row.object_id) == (body.encode(), "pending", "cus_1")


def test_the_same_event_twice_is_acknowledged_twice_and_stored_once(world: World) -> None:
    body = json.dumps(event())
    assert [deliver(world, body).status_code for _ in range(2)] == [200, 200]
    assert len(stored(world)) == 1


def test_answered_delivery_leaves_nothing_to_garbage_collection(world: World) -> None:
    deliver(world, BODY)  # what only the first delivery makes may stay
    headers = [("Stripe-Signature", signature(BODY))]
    environ = EnvironBuilder("/webhooks/stripe", method="POST", data=BODY, headers=headers).get_environ()
    body = environ["wsgi.input"] = io.BufferedReader(environ["wsgi.input"])
    remembered = weakref.ref(body)
    gc.disable()
    try:
        assert run_wsgi_app(world.client.application, environ)[1] == "200 OK"
        del body, environ
        assert remembered() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("state", ["failed", "dead"])
def test_redelivered_failed_event_is_due_now_with_all_attempts(world: World, state: str) -> None:
    body = json.dumps(event())
    deliver(world, body)
    later = world.gateway.clock() + timedelta(hours=1)
    with world.gateway.database.transaction() as session:
        failed = {"state": state, "attempts": 7, "next_attempt_at": later}
        session.execute(update(WebhookEvent).where(WebhookEvent.id == "evt_test").values(failed))
    assert deliver(world, body).status_code == 200
    [row] = stored(world)
    assert (row.state, row.attempts) == ("pending", 0)
    assert row.next_attempt_at <= world.gateway.clock()


@pytest.mark.parametrize(
    "header",
    [
        signature(BODY, secret="whsec_of_somebody_else"),
        "",
        "t=1,v1=00",
        "v1=nonsense",
        signature(BODY, age=301),
        signature(BODY, age=-3600),
        f"t={int(time.time())},v1=ä",
        signature(BODY + " "),
    ],
    ids=["wrong", "missing", "made up", "garbage", "old", "future", "not ASCII", "of another body"],
)
def test_delivery_without_a_valid_signature_is_refused(world: World, header: str) -> None:
    assert problem_of(deliver(world, BODY, header)) == (400, "webhook_refused")
    assert stored(world) == []


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not json",
        "[]",
        '"evt_test"',
        "null",
        "[" * 100_000,
        json.dumps(event()).replace("1795000000", "NaN"),
        json.dumps(event(id="evt_test\u0000")),
        json.dumps(event(id="evt_test\ud800")),
        json.dumps(event(data={"object": {"id": "cus_\ud800", "object": "customer"}})),
        json.dumps(event(half="\ud83d")).replace("1795000000", "NaN"),
        json.dumps("\ud83d") + "[" * 100_000,
        json.dumps(event(id=1)),
        json.dumps(event(created="yesterday")),
        json.dumps(event(created=True)),
        json.dumps(event(livemode="maybe")),
        json.dumps(event(data={})),
        json.dumps(event(object="v2.core.event")),
        json.dumps(event(type="customer.updated\n")),
    ],
)
def test_signed_body_that_is_no_event_is_refused_and_not_stored(world: World, body: str) -> None:
    assert problem_of(deliver(world, body)) == (400, "webhook_refused")
    assert stored(world) == []


def test_a_signed_body_that_is_not_utf8_is_refused(world: World) -> None:
    assert problem_of(deliver(world, b"\xff\xfe", signature("x"))) == (400, "webhook_refused")


def test_body_at_or_over_the_limit_is_refused(world: World) -> None:
    body = json.dumps(event(padding="x" * MAX_BODY_BYTES))
    assert problem_of(deliver(world, body)) == (413, "payload_too_large")
    at_the_limit = json.dumps(event(padding=""))
    at_the_limit = json.dumps(event(padding="x" * (MAX_BODY_BYTES - len(at_the_limit))))
    assert len(at_the_limit) == MAX_BODY_BYTES
    assert problem_of(deliver(world, at_the_limit)) == (413, "payload_too_large")
    assert stored(world) == []


def test_both_secrets_are_valid_during_a_rotation(world: World) -> None:
    config = replace(world.gateway.config, stripe_webhook_secrets=("whsec_new", WEBHOOK_SECRET))
    app = create_app(replace(world.gateway, config=config))
    client = app.test_client()
    for number, secret in enumerate(config.stripe_webhook_secrets):
        body = json.dumps(event(id=f"evt_test{number}"))
        headers = {"Stripe-Signature": signature(body, secret)}
        assert client.post("/webhooks/stripe", data=body, headers=headers).status_code == 200
    assert len(stored(world)) == 2
    app.extensions[EXTENSION].close()


@pytest.mark.parametrize("foreign", [{"livemode": True}, {"account": "acct_1"}], ids=["livemode", "account"])
def test_event_of_another_mode_or_account_is_stored_as_rejected(world: World, foreign: dict[str, Any]) -> None:
    assert deliver(world, json.dumps(event(**foreign))).status_code == 200
    world.work()
    assert [row.state for row in stored(world)] == ["rejected"]


def test_webhook_waits_briefly_for_a_locked_inbox(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "LOCK_TIMEOUT", "SET lock_timeout = '50ms'")
    body = orjson.dumps(event())
    with closing(Inbox(world.gateway, HANDLERS)) as inbox:
        with world.gateway.database.transaction() as session:
            session.execute(text("LOCK TABLE webhook_events"))
            with pytest.raises(DatabaseUnavailable):
                inbox.commit(inbox.add(body, signature(body.decode())))
            monkeypatch.setattr(writer, "LOCK_TIMEOUT", "SET lock_timeout = '20s'")
            with pytest.raises(DatabaseUnavailable):  # it waits for less, because the inbox was locked just now
                inbox.commit(inbox.add(body, signature(body.decode())))
        assert inbox.commit(inbox.add(body, signature(body.decode())))


def test_webhook_without_a_database_is_503(world: World) -> None:
    config = replace(world.gateway.config, database_url="postgresql://postgres@127.0.0.1:1/gateway")
    client = create_app(build_gateway(config)).test_client()
    body = json.dumps(event())
    answer = client.post("/webhooks/stripe", data=body, headers={"Stripe-Signature": signature(body)})
    assert problem_of(answer) == (503, "database_unavailable")
    assert problem_of(client.get("/health/ready")) == (503, "database_unavailable")
    assert client.get("/health/live").status_code == 200


def test_closed_database_connection_costs_no_delivery(world: World) -> None:
    assert deliver(world, json.dumps(event(id="evt_testbefore"))).status_code == 200
    with world.gateway.database.transaction() as session:
        session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND query LIKE '%INTO webhook_events%' AND pid <> pg_backend_pid()"
            )
        )
    assert deliver(world, json.dumps(event(id="evt_testafter"))).status_code == 200
    assert {row.id for row in stored(world)} == {"evt_testbefore", "evt_testafter"}


def test_burst_loses_no_event(world: World) -> None:
    for number in range(50):
        assert deliver(world, json.dumps(event(id=f"evt_test{number}"))).status_code == 200
    world.settle()
    assert [row.state for row in stored(world)] == ["ignored"] * 50


def test_redelivery_does_not_wait_for_a_locked_event(world: World) -> None:
    body = orjson.dumps(event())
    deliver(world, body)
    with world.gateway.database.transaction() as session:
        session.execute(update(WebhookEvent).values(state="failed"))
    with ThreadPoolExecutor(1) as other, world.gateway.database.transaction() as session:
        session.execute(select(WebhookEvent).where(WebhookEvent.id == "evt_test").with_for_update())
        assert other.submit(deliver, world, body).result(timeout=2).status_code == 200


def test_custom_object_ids_are_accepted(world: World) -> None:
    world.stripe.v1.products.create({"id": "gold-plan.1", "name": "Gold", "metadata": {"konnect_plan": "plus"}})
    world.settle()
    assert "gold-plan.1" in {row.object_id for row in world.rows(WebhookEvent)}
