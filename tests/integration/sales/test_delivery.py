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
from gateway.db.models import Notification
from gateway.services.notifications.delivery import RETRY_WAITS
from gateway.tasks import build_worker
from tests.support.commands import build_environment, use_settings
from tests.support.json_types import Json
from tests.support.notified import SECRET, NotifiedSystem, another_world, make_due, notify
from tests.support.sales import FORM, only_delivery, send_inquiry
from tests.support.wait import eventually
from tests.support.world import World


def test_inquiry_is_stored_and_delivered_signed(sales: World, receiver: NotifiedSystem) -> None:
    inquiry_id = send_inquiry(sales)
    assert only_delivery(sales).delivered_at is None  # the person does not wait for the delivery
    notify(sales)
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
    inquiry = only_delivery(sales)
    assert (inquiry.attempts, inquiry.error, inquiry.next_attempt_at) == (1, None, None)
    assert inquiry.delivered_at is not None


def test_after_two_500s_the_third_attempt_delivers_under_the_same_id(sales: World, receiver: NotifiedSystem) -> None:
    receiver.answers = [500, 500]
    inquiry_id = send_inquiry(sales)
    notify(sales)
    assert (only_delivery(sales).attempts, only_delivery(sales).error) == (1, "HTTP 500")
    waits = only_delivery(sales).next_attempt_at
    assert waits is not None
    assert waits > datetime.now(UTC) + RETRY_WAITS[0] - timedelta(seconds=3)
    for _ in range(2):
        notify(sales)  # the next attempt is not due yet
        make_due(sales)
        notify(sales)
    assert receiver.ids() == [inquiry_id] * 3
    assert (only_delivery(sales).attempts, only_delivery(sales).error) == (3, None)
    assert only_delivery(sales).delivered_at is not None
    make_due(sales)
    notify(sales)
    assert len(receiver.requests) == 3


@pytest.mark.parametrize("status", [199 + 102, 302, 307, 400, 404, 410, 429, 503])
def test_any_status_but_2xx_is_retried_without_following_redirects(
    sales: World, receiver: NotifiedSystem, status: int
) -> None:
    receiver.answers = [status]
    send_inquiry(sales)
    notify(sales)
    assert (only_delivery(sales).error, len(receiver.requests)) == (f"HTTP {status}", 1)
    assert only_delivery(sales).delivered_at is None


def test_inquiry_of_a_killed_worker_is_sent_again(sales: World, receiver: NotifiedSystem) -> None:
    receiver.blocking = True
    inquiry_id = send_inquiry(sales)
    environment = {**os.environ, **build_environment(sales.gateway.config)}
    worker = subprocess.Popen([sys.executable, "-m", "gateway", "worker"], env=environment)
    eventually(lambda: len(receiver.requests) == 1, seconds=60)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    receiver.blocking = False
    receiver.unblocked.set()
    assert (only_delivery(sales).attempts, only_delivery(sales).delivered_at) == (0, None)
    with sales.gateway.database.transaction() as session:  # make its last heartbeat look old
        session.execute(text("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'"))
    retry_stalled_jobs(sales)
    sales.work()
    assert receiver.ids() == [inquiry_id] * 2
    assert only_delivery(sales).delivered_at is not None


def retry_stalled_jobs(world: World) -> None:
    """Run the job that retries stalled jobs every minute. The killed worker may have queued it already."""
    worker = build_worker(world.gateway)
    with worker.open(), suppress(AlreadyEnqueued):
        worker.configure_task("gateway.retry_stalled_jobs").defer(timestamp=0)
    world.work()


def test_inquiry_waits_until_a_receiver_is_configured(
    world: World, sales: World, receiver: NotifiedSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_inquiry(world)
    notify(world)
    assert (world.rows(Notification), receiver.requests) == ([], [])
    assert run_sales(sales, monkeypatch, "list").stdout.split()[2] == "stored"
    assert run_sales(sales, monkeypatch, "deliver").stdout == "1 of 1 delivered.\n"
    assert len(receiver.requests) == 1


def run_sales(world: World, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    use_settings(monkeypatch, world.gateway.config)
    return CliRunner().invoke(cli, ["sales", *arguments], catch_exceptions=False)


def test_undelivered_inquiries_can_be_listed_and_delivered(
    sales: World, receiver: NotifiedSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_inquiry(sales, message="first")
    notify(sales)
    receiver.answers = [500, 500]
    second = send_inquiry(sales, message="second")
    notify(sales)
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
    sales: World, receiver: NotifiedSystem, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers = [500]
    send_inquiry(sales)
    notify(sales)
    unreachable = replace(sales.gateway.config, sales_webhook_url="http://127.0.0.1:1/in-the-address")
    with another_world(sales, unreachable) as away:
        make_due(away)
        notify(away)
    assert caplog.text.count("notification_sent") == 2
    assert only_delivery(sales).error == "ConnectionError"
    output = caplog.text + repr(sales.gateway.config) + (only_delivery(sales).error or "")
    assert not [word for word in ("ada@example", "Ada GmbH", "Enterprise?", "in-the-address", SECRET) if word in output]
