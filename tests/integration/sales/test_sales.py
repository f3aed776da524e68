"""The contact form: stored, bounded, and handed on at least once, signed, whatever happens on the way."""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from click.testing import CliRunner, Result
from procrastinate.exceptions import AlreadyEnqueued
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from standardwebhooks import Webhook

from gateway.app import build_gateway, create_app
from gateway.cli import cli
from gateway.db.models import Organization, SalesInquiry
from gateway.endpoints.request_context import EXTENSION
from gateway.services.runtime import Caller
from gateway.services.sales.delivery import RETRY_WAITS, deliver_inquiry
from gateway.services.sales.inquiries import store_inquiry
from gateway.tasks import build_worker
from tests.support.api import ApiClient, problem_of
from tests.support.json_types import Json
from tests.support.wait import eventually
from tests.support.world import World

SECRET = f"whsec_{base64.b64encode(b'a secret that only these tests know').decode()}"
FORM = {"name": "Ada", "email": "ada@example.test", "company": "Ada GmbH", "message": "Enterprise?\r\nSoon, please."}


@dataclass
class SalesReceiver:
    """Sales' own system: keeps what came, and answers what it is told to, then 200."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    stuck: threading.Event = field(default_factory=threading.Event)
    holds: bool = False

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.came]


@pytest.fixture
def receiver() -> Iterator[SalesReceiver]:
    found = SalesReceiver()

    class SalesHandler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.came.append(({name.lower(): value for name, value in self.headers.items()}, body))
            if found.holds:
                found.stuck.wait(30)
            self.send_response(found.answers.pop(0) if found.answers else 200)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), SalesHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}/inquiries?token=in-the-address"
    yield found
    found.stuck.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def sales(world: World, receiver: SalesReceiver) -> Iterator[World]:
    """The world with a receiver."""
    config = replace(world.gateway.config, sales_webhook_url=receiver.url, sales_webhook_secret=SECRET)
    gateway = build_gateway(config)
    app = create_app(gateway)
    yield World(gateway=gateway, stripe=world.stripe, client=app.test_client())
    app.extensions[EXTENSION].close()


def ask(world: World, organization_id: str = "org_1", **changes: Any) -> str:
    answer = world.api(organization_id).ok("POST", "/sales-inquiries", **{**FORM, **changes})
    return str(answer["id"])


def only(world: World) -> SalesInquiry:
    [inquiry] = world.rows(SalesInquiry)
    return inquiry


def let_time_pass(world: World) -> None:
    """Every job that waits for its time is due."""
    with world.gateway.database.transaction() as session:
        session.execute(text("UPDATE procrastinate_jobs SET scheduled_at = now()"))


def test_it_is_stored_and_handed_on_signed(sales: World, receiver: SalesReceiver) -> None:
    inquiry_id = ask(sales)
    assert only(sales).delivered_at is None  # the person does not wait for it
    sales.work()
    [(headers, body)] = receiver.came
    message: Json = Webhook(SECRET).verify(body, headers)
    assert (message["type"], message["data"]["id"], headers["webhook-id"]) == (
        "sales_inquiry.created",
        inquiry_id,
        inquiry_id,
    )
    assert {name: message["data"][name] for name in FORM} == {**FORM, "message": "Enterprise?\nSoon, please."}
    assert message["data"]["organization_id"] == "org_1"
    assert message["timestamp"].endswith("Z")
    inquiry = only(sales)
    assert (inquiry.attempts, inquiry.error, inquiry.next_attempt_at) == (1, None, None)
    assert inquiry.delivered_at is not None


def test_after_two_500s_the_third_attempt_delivers_under_the_same_id(sales: World, receiver: SalesReceiver) -> None:
    receiver.answers = [500, 500]
    inquiry_id = ask(sales)
    sales.work()
    assert (only(sales).attempts, only(sales).error) == (1, "HTTP 500")
    waits = only(sales).next_attempt_at
    assert waits is not None
    assert waits > datetime.now(UTC) + RETRY_WAITS[0] - timedelta(seconds=3)
    for _ in range(2):
        sales.work()  # not before its time
        let_time_pass(sales)
        sales.work()
    assert receiver.ids() == [inquiry_id] * 3
    assert (only(sales).attempts, only(sales).error) == (3, None)
    assert only(sales).delivered_at is not None
    let_time_pass(sales)
    sales.work()
    assert len(receiver.came) == 3


@pytest.mark.parametrize("status", [199 + 102, 302, 307, 400, 404, 410, 429, 503])
def test_whatever_is_not_a_2xx_is_tried_again_and_no_redirect_followed(
    sales: World, receiver: SalesReceiver, status: int
) -> None:
    receiver.answers = [status]
    ask(sales)
    sales.work()
    assert (only(sales).error, len(receiver.came)) == (f"HTTP {status}", 1)
    assert only(sales).delivered_at is None


def test_a_receiver_that_is_away_is_tried_again_and_given_up_at_last(sales: World) -> None:
    nobody = replace(sales.gateway.config, sales_webhook_url="http://127.0.0.1:1/?token=in-the-address")
    away = replace(sales.gateway, config=nobody)
    inquiry_id = ask(sales)
    for attempt in range(len(RETRY_WAITS) + 1):
        assert only(sales).next_attempt_at is not None, attempt
        assert not deliver_inquiry(away, inquiry_id)
    given_up = only(sales)
    assert (given_up.attempts, given_up.next_attempt_at, given_up.error) == (
        len(RETRY_WAITS) + 1,
        None,
        "ConnectionError",
    )


def test_a_worker_killed_during_the_call_leaves_an_inquiry_that_is_sent_again(
    sales: World, receiver: SalesReceiver
) -> None:
    receiver.holds = True
    inquiry_id = ask(sales)
    config = sales.gateway.config
    environment = {
        **os.environ,
        "GATEWAY_DATABASE_URL": config.database_url,
        "STRIPE_SECRET_KEY": config.stripe_secret_key,
        "GATEWAY_JWT_DEVELOPMENT_SECRET": config.jwt_development_secret or "",
        "GATEWAY_SALES_WEBHOOK_URL": receiver.url,
        "GATEWAY_SALES_WEBHOOK_SECRET": SECRET,
    }
    worker = subprocess.Popen([sys.executable, "-m", "gateway", "worker"], env=environment)
    eventually(lambda: len(receiver.came) == 1, seconds=60)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    receiver.holds = False
    receiver.stuck.set()
    assert (only(sales).attempts, only(sales).delivered_at) == (0, None)
    with sales.gateway.database.transaction() as session:  # as after the time in which it gave no sign of life
        session.execute(text("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'"))
    stalled_ones_are_taken_up(sales)
    let_time_pass(sales)
    sales.work()
    assert receiver.ids() == [inquiry_id] * 2
    assert only(sales).delivered_at is not None


def stalled_ones_are_taken_up(world: World) -> None:
    """The job that looks for them each minute; the killed worker may have queued it already."""
    worker = build_worker(world.gateway)
    with worker.open(), suppress(AlreadyEnqueued):
        worker.configure_task("gateway.retry_stalled_jobs").defer(timestamp=0)
    world.work()


def test_without_a_receiver_it_is_stored_and_handed_on_once_there_is_one(
    world: World, sales: World, receiver: SalesReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(world)
    world.work()
    assert (only(world).attempts, receiver.came) == (0, [])
    assert listed(sales, monkeypatch, "list").stdout.split()[2] == "stored"
    assert listed(sales, monkeypatch, "deliver").stdout == "1 of 1 delivered.\n"
    assert len(receiver.came) == 1


def listed(world: World, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    config = world.gateway.config
    monkeypatch.setenv("GATEWAY_DATABASE_URL", config.database_url)
    monkeypatch.setenv("STRIPE_SECRET_KEY", config.stripe_secret_key)
    monkeypatch.setenv("GATEWAY_JWT_DEVELOPMENT_SECRET", config.jwt_development_secret or "")
    monkeypatch.setenv("GATEWAY_SALES_WEBHOOK_URL", config.sales_webhook_url or "")
    monkeypatch.setenv("GATEWAY_SALES_WEBHOOK_SECRET", config.sales_webhook_secret or "")
    return CliRunner().invoke(cli, ["sales", *arguments], catch_exceptions=False)


def test_what_is_undelivered_can_be_seen_and_delivered_by_hand(
    sales: World, receiver: SalesReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(sales, message="first")
    sales.work()
    receiver.answers = [500, 500]
    second = ask(sales, message="second")
    sales.work()
    rows = [json.loads(row) for row in listed(sales, monkeypatch, "list", "--json").stdout.splitlines()]
    assert [(row["message"], row["state"]) for row in rows] == [("second", "waiting"), ("first", "delivered")]
    [waiting] = listed(sales, monkeypatch, "list", "--undelivered").stdout.splitlines()
    assert waiting.split()[2:5] == ["waiting", "1", second]
    assert waiting.endswith("Ada <ada@example.test>, Ada GmbH  HTTP 500")
    failed = listed(sales, monkeypatch, "deliver")
    assert (failed.exit_code, failed.stdout) == (1, "0 of 1 delivered.\n")
    assert listed(sales, monkeypatch, "deliver").stdout == "1 of 1 delivered.\n"
    assert "No inquiries." in listed(sales, monkeypatch, "list", "--undelivered").stderr


def test_an_organization_may_ask_five_times_an_hour(sales: World) -> None:
    first = ask(sales)
    for _ in range(4):
        ask(sales)
    answer = sales.api()("POST", "/sales-inquiries", **FORM)
    assert problem_of(answer) == (429, "rate_limited")
    assert 3500 < int(answer.headers["Retry-After"]) <= 3600
    assert len(sales.rows(SalesInquiry)) == 5
    ask(sales, "org_2")
    with sales.gateway.database.transaction() as session:
        session.execute(
            text("UPDATE sales_inquiries SET created_at = created_at - interval '61 minutes' WHERE id = :id"),
            {"id": first},
        )
    ask(sales)
    assert sales.api().problem("POST", "/sales-inquiries", **FORM) == (429, "rate_limited")


def test_the_limit_holds_for_requests_at_once_on_several_machines(sales: World) -> None:
    machines = [create_app(build_gateway(sales.gateway.config)) for _ in range(2)]
    token = sales.token()

    def post(number: int) -> int:
        return ApiClient(machines[number % 2].test_client(), token)("POST", "/sales-inquiries", **FORM).status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = sorted(threads.map(post, range(16)))
    for machine in machines:
        machine.extensions[EXTENSION].close()
    assert statuses == [201] * 5 + [429] * 11
    assert len(sales.rows(SalesInquiry)) == 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": " \t "},
        {"name": "Ada\nBcc: everybody@example.test"},
        {"name": "x" * 201},
        {"company": "Ada\r\nX-Spam: no"},
        {"company": "Ada\u2028GmbH"},
        {"email": "ada@example.test\r\nBcc: everybody@example.test"},
        {"email": "ada@example.test, eve@example.test"},
        {"email": "ada"},
        {"message": "\n \n"},
        {"message": "x" * 5001},
        {"message": "a\u0000b"},
        {"message": "a\u001b[2Jb"},
        {"message": None},
        {"organization_id": "org_2"},
    ],
)
def test_what_is_no_inquiry_is_422_and_is_not_stored(sales: World, wrong: dict[str, Any]) -> None:
    answer = sales.api()("POST", "/sales-inquiries", **{**FORM, **wrong})
    assert problem_of(answer) == (422, "invalid_request")
    assert set(answer.get_json()["errors"]) == set(wrong)
    assert sales.rows(SalesInquiry) == []


def test_people_write_in_every_language(sales: World, receiver: SalesReceiver) -> None:
    # a name in Persian with its zero-width non-joiner, and a family of emoji held together by joiners
    persian = "\u0641\u0627\u0637\u0645\u0647\u200c\u0632\u0647\u0631\u0627"
    family = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
    ask(sales, name=persian, company="Søn & Løg A/S", message=f"{family} „Grüße“\n\t<b>x</b>")
    sales.work()
    message = json.loads(receiver.came[0][1])
    assert (message["data"]["name"], message["data"]["message"]) == (persian, f"{family} „Grüße“\n\t<b>x</b>")


def test_a_closed_account_may_ask(sales: World) -> None:
    ask(sales)
    with sales.gateway.database.transaction() as session:
        session.execute(text("UPDATE organizations SET deleted = true"))
    ask(sales)
    assert [row.id for row in sales.rows(Organization)] == ["org_1"]


def test_what_the_form_should_not_have_let_pass_the_table_refuses(sales: World, receiver: SalesReceiver) -> None:
    with pytest.raises(IntegrityError):
        store_inquiry(sales.gateway, Caller(organization_id="org_1", actor="test"), {**FORM, "message": "x" * 5001})
    sales.work()
    assert (receiver.came, sales.rows(SalesInquiry)) == ([], [])


def test_with_the_database_away_it_is_503(sales: World) -> None:
    away = create_app(build_gateway(replace(sales.gateway.config, database_url="postgresql://gateway@127.0.0.1:1/x")))
    api = ApiClient(away.test_client(), sales.token())
    assert api.problem("POST", "/sales-inquiries", **FORM) == (503, "database_unavailable")
    away.extensions[EXTENSION].close()


def test_no_log_line_tells_who_asked_or_where_it_goes(
    sales: World, receiver: SalesReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers = [500]
    inquiry_id = ask(sales)
    sales.work()
    nobody = replace(sales.gateway.config, sales_webhook_url="http://127.0.0.1:1/in-the-address")
    deliver_inquiry(replace(sales.gateway, config=nobody), inquiry_id)
    assert caplog.text.count("sales_inquiry_sent") == 2
    told = caplog.text + repr(sales.gateway.config) + (only(sales).error or "")
    assert not [word for word in ("ada@example", "Ada GmbH", "Enterprise?", "in-the-address", SECRET) if word in told]
