"""The worker delivers each inquiry signed and at least once, despite failures."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result
from procrastinate.exceptions import AlreadyEnqueued
from sqlalchemy import text
from standardwebhooks import Webhook

from gateway.cli import cli
from gateway.services.sales.delivery import RETRY_WAITS, deliver_inquiry
from gateway.tasks import build_worker
from tests.support.json_types import Json
from tests.support.sales import FORM, SECRET, SalesReceiver, let_time_pass, only_inquiry, send_inquiry
from tests.support.wait import eventually
from tests.support.world import World


def test_inquiry_is_stored_and_delivered_signed(sales: World, receiver: SalesReceiver) -> None:
    inquiry_id = send_inquiry(sales)
    assert only_inquiry(sales).delivered_at is None  # the person does not wait for the delivery
    sales.work()
    [(headers, body)] = receiver.requests
    message: Json = Webhook(SECRET).verify(body, headers)
    assert (message["type"], message["data"]["id"], headers["webhook-id"]) == (
        "sales_inquiry.created",
        inquiry_id,
        inquiry_id,
    )
    assert {name: message["data"][name] for name in FORM} == {**FORM, "message": "Enterprise?\nSoon, please."}
    assert message["data"]["organization_id"] == "org_1"
    assert message["timestamp"].endswith("Z")
    inquiry = only_inquiry(sales)
    assert (inquiry.attempts, inquiry.error, inquiry.next_attempt_at) == (1, None, None)
    assert inquiry.delivered_at is not None


def test_after_two_500s_the_third_attempt_delivers_under_the_same_id(sales: World, receiver: SalesReceiver) -> None:
    receiver.answers = [500, 500]
    inquiry_id = send_inquiry(sales)
    sales.work()
    assert (only_inquiry(sales).attempts, only_inquiry(sales).error) == (1, "HTTP 500")
    waits = only_inquiry(sales).next_attempt_at
    assert waits is not None
    assert waits > datetime.now(UTC) + RETRY_WAITS[0] - timedelta(seconds=3)
    for _ in range(2):
        sales.work()  # the next attempt is not due yet
        let_time_pass(sales)
        sales.work()
    assert receiver.ids() == [inquiry_id] * 3
    assert (only_inquiry(sales).attempts, only_inquiry(sales).error) == (3, None)
    assert only_inquiry(sales).delivered_at is not None
    let_time_pass(sales)
    sales.work()
    assert len(receiver.requests) == 3


@pytest.mark.parametrize("status", [199 + 102, 302, 307, 400, 404, 410, 429, 503])
def test_any_status_but_2xx_is_retried_without_following_redirects(
    sales: World, receiver: SalesReceiver, status: int
) -> None:
    receiver.answers = [status]
    send_inquiry(sales)
    sales.work()
    assert (only_inquiry(sales).error, len(receiver.requests)) == (f"HTTP {status}", 1)
    assert only_inquiry(sales).delivered_at is None


def test_unreachable_receiver_is_retried_and_finally_given_up(sales: World) -> None:
    unreachable = replace(sales.gateway.config, sales_webhook_url="http://127.0.0.1:1/?token=in-the-address")
    away = replace(sales.gateway, config=unreachable)
    inquiry_id = send_inquiry(sales)
    for attempt in range(len(RETRY_WAITS) + 1):
        assert only_inquiry(sales).next_attempt_at is not None, attempt
        assert not deliver_inquiry(away, inquiry_id)
    given_up = only_inquiry(sales)
    assert (given_up.attempts, given_up.next_attempt_at, given_up.error) == (
        len(RETRY_WAITS) + 1,
        None,
        "ConnectionError",
    )


def test_inquiry_of_a_killed_worker_is_sent_again(sales: World, receiver: SalesReceiver) -> None:
    receiver.blocking = True
    inquiry_id = send_inquiry(sales)
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
    eventually(lambda: len(receiver.requests) == 1, seconds=60)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    receiver.blocking = False
    receiver.unblocked.set()
    assert (only_inquiry(sales).attempts, only_inquiry(sales).delivered_at) == (0, None)
    with sales.gateway.database.transaction() as session:  # make its last heartbeat look old
        session.execute(text("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'"))
    retry_stalled_jobs(sales)
    let_time_pass(sales)
    sales.work()
    assert receiver.ids() == [inquiry_id] * 2
    assert only_inquiry(sales).delivered_at is not None


def retry_stalled_jobs(world: World) -> None:
    """Run the job that retries stalled jobs every minute. The killed worker may have queued it already."""
    worker = build_worker(world.gateway)
    with worker.open(), suppress(AlreadyEnqueued):
        worker.configure_task("gateway.retry_stalled_jobs").defer(timestamp=0)
    world.work()


def test_inquiry_waits_until_a_receiver_is_configured(
    world: World, sales: World, receiver: SalesReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_inquiry(world)
    world.work()
    assert (only_inquiry(world).attempts, receiver.requests) == (0, [])
    assert run_sales(sales, monkeypatch, "list").stdout.split()[2] == "stored"
    assert run_sales(sales, monkeypatch, "deliver").stdout == "1 of 1 delivered.\n"
    assert len(receiver.requests) == 1


def run_sales(world: World, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    config = world.gateway.config
    monkeypatch.setenv("GATEWAY_DATABASE_URL", config.database_url)
    monkeypatch.setenv("STRIPE_SECRET_KEY", config.stripe_secret_key)
    monkeypatch.setenv("GATEWAY_JWT_DEVELOPMENT_SECRET", config.jwt_development_secret or "")
    monkeypatch.setenv("GATEWAY_SALES_WEBHOOK_URL", config.sales_webhook_url or "")
    monkeypatch.setenv("GATEWAY_SALES_WEBHOOK_SECRET", config.sales_webhook_secret or "")
    return CliRunner().invoke(cli, ["sales", *arguments], catch_exceptions=False)


def test_undelivered_inquiries_can_be_listed_and_delivered(
    sales: World, receiver: SalesReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_inquiry(sales, message="first")
    sales.work()
    receiver.answers = [500, 500]
    second = send_inquiry(sales, message="second")
    sales.work()
    rows = [json.loads(row) for row in run_sales(sales, monkeypatch, "list", "--json").stdout.splitlines()]
    assert [(row["message"], row["state"]) for row in rows] == [("second", "waiting"), ("first", "delivered")]
    [waiting] = run_sales(sales, monkeypatch, "list", "--undelivered").stdout.splitlines()
    assert waiting.split()[2:5] == ["waiting", "1", second]
    assert waiting.endswith("Ada <ada@example.test>, Ada GmbH  HTTP 500")
    failed = run_sales(sales, monkeypatch, "deliver")
    assert (failed.exit_code, failed.stdout) == (1, "0 of 1 delivered.\n")
    assert run_sales(sales, monkeypatch, "deliver").stdout == "1 of 1 delivered.\n"
    assert "No inquiries." in run_sales(sales, monkeypatch, "list", "--undelivered").stderr


def test_no_log_line_shows_the_inquirer_or_the_receiver(
    sales: World, receiver: SalesReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers = [500]
    inquiry_id = send_inquiry(sales)
    sales.work()
    unreachable = replace(sales.gateway.config, sales_webhook_url="http://127.0.0.1:1/in-the-address")
    deliver_inquiry(replace(sales.gateway, config=unreachable), inquiry_id)
    assert caplog.text.count("sales_inquiry_sent") == 2
    output = caplog.text + repr(sales.gateway.config) + (only_inquiry(sales).error or "")
    assert not [word for word in ("ada@example", "Ada GmbH", "Enterprise?", "in-the-address", SECRET) if word in output]
