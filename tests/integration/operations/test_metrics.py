"""The metrics report correct values for all processes at a low cost."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from sqlalchemy import text

from gateway.app import build_gateway, create_app
from gateway.endpoints.metrics import render
from gateway.endpoints.request_context import EXTENSION
from gateway.sandbox import Sandbox
from gateway.services.operations.worker_reports import report_worker
from gateway.services.reconciliation import drift, gap
from gateway.services.reconciliation.differences import Cause
from gateway.services.webhooks import endpoint_check
from handlers import HANDLERS
from tests.support.clock import StripeTime
from tests.support.commands import build_environment
from tests.support.database import change_event
from tests.support.leaks import find_leaks
from tests.support.metrics import parse, scrape
from tests.support.plans import on_plus
from tests.support.processes import free_port
from tests.support.reconciliation import drop_webhooks, set_quantity_at_stripe
from tests.support.stripe_events import WEBHOOK_SECRET, deliver, event, signature
from tests.support.wait import eventually
from tests.support.world import World


def test_inbox_states_and_lag_come_from_the_database(world: World) -> None:
    world.work()
    for event_id in ("evt_test_1", "evt_test_2", "evt_test_3"):
        deliver(world, json.dumps(event(id=event_id)))
    now = world.gateway.clock()
    change_event(world, "evt_test_1", next_attempt_at=now - timedelta(minutes=5))
    change_event(world, "evt_test_2", state="failed", next_attempt_at=now + timedelta(hours=1))
    change_event(world, "evt_test_3", state="dead", next_attempt_at=now - timedelta(days=1))
    found = scrape(world.gateway)
    assert {state: found[f'gateway_inbox_events{{state="{state}"}}'] for state in ("failed", "dead")} == {
        "failed": 1,
        "dead": 1,
    }
    assert found['gateway_inbox_events{state="pending"}'] >= 1
    assert 300 <= found["gateway_inbox_lag_seconds"] < 400
    assert found["gateway_database_up"] == 1


def test_empty_inbox_has_no_lag(world: World) -> None:
    with world.gateway.database.transaction() as session:
        session.execute(text("DELETE FROM webhook_events"))
    assert scrape(world.gateway)["gateway_inbox_lag_seconds"] == 0


def test_metrics_show_the_position_of_a_secret_but_not_the_secret(world: World) -> None:
    def matched(secret: str) -> float:
        return scrape(world.gateway).get(f'gateway_webhook_signatures_total{{secret="{secret}"}}', 0)

    world.settle()
    body = json.dumps(event())
    first, none = matched("0"), matched("none")
    assert deliver(world, body).status_code == 200
    assert deliver(world, body, signature(body, secret="whsec_of_somebody_else")).status_code == 400
    assert (matched("0"), matched("none")) == (first + 1, none + 1)
    rotated = replace(world.gateway.config, stripe_webhook_secrets=("whsec_new", WEBHOOK_SECRET))
    app = create_app(build_gateway(rotated))
    before = matched("1")
    app.test_client().post("/webhooks/stripe", data=body, headers={"Stripe-Signature": signature(body)})
    app.extensions[EXTENSION].close()
    assert matched("1") == before + 1
    assert "whsec_" not in render(world.gateway).decode()


def test_deliveries_are_counted_by_status(world: World) -> None:
    def answered(status: int) -> float:
        return scrape(world.gateway).get(f'gateway_webhook_deliveries_total{{status="{status}"}}', 0)

    world.settle()  # Stripe's own deliveries would count too
    before = {status: answered(status) for status in (200, 400, 413)}
    deliver(world, json.dumps(event()))
    deliver(world, "not JSON")
    deliver(world, b"x" * 300_000, "t=1,v1=00")
    assert {status: answered(status) - before[status] for status in before} == {200: 1, 400: 1, 413: 1}


def test_jobs_workers_and_changes_are_counted(world: World) -> None:
    with world.gateway.database.transaction() as session:
        session.execute(text("DELETE FROM procrastinate_jobs"))
        dead, alive = session.scalars(
            text(
                "INSERT INTO procrastinate_workers (last_heartbeat)"
                " VALUES (now() - interval '1 minute'), (now()) RETURNING id"
            )
        )
        job = text(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, status, worker_id)"
            " VALUES ('default', 'gateway.refresh', CAST(:status AS procrastinate_job_status), :worker)"
        )
        for status, worker in (("doing", dead), ("doing", alive), ("doing", None), ("failed", None), ("todo", None)):
            session.execute(job, {"status": status, "worker": worker})
    found = scrape(world.gateway)
    assert found['gateway_jobs{status="doing",task="gateway.refresh"}'] == 3
    assert found['gateway_jobs{status="failed",task="gateway.refresh"}'] == 1
    assert found["gateway_jobs_stalled"] == 2
    assert found["gateway_workers"] == 1
    assert found['gateway_plan_changes{state="requested"}'] == 0


def test_walks_that_never_ran_finished_in_1970(world: World) -> None:
    found = scrape(world.gateway)
    for walk in ("gap", "drift"):
        assert found[f'gateway_reconciliation_finished_timestamp_seconds{{walk="{walk}"}}'] == 0
        assert found[f'gateway_reconciliation_checked_until_timestamp_seconds{{walk="{walk}"}}'] == 0
    assert not any("unfinished" in name for name in found)
    assert sum(number for name, number in found.items() if "_differences" in name or "_outcomes" in name) == 0


def test_metrics_show_when_a_walk_began_and_ended(
    world: World, sandbox: Sandbox, stripe_time: StripeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.stripe_api.event_list.PAGE", 5)
    drop_webhooks(world, sandbox)
    on_plus(world)
    stripe_time.ahead = 1000
    began = time.time()
    walk = gap.walk(world.gateway, HANDLERS.keys())
    next(walk)
    found = scrape(world.gateway)
    assert found['gateway_reconciliation_finished_timestamp_seconds{walk="gap"}'] == 0
    assert began <= found['gateway_reconciliation_unfinished_since_timestamp_seconds{walk="gap"}'] <= time.time()
    *_, last = walk
    found = scrape(world.gateway)
    assert began <= found['gateway_reconciliation_finished_timestamp_seconds{walk="gap"}'] <= time.time()
    assert abs(found['gateway_reconciliation_checked_until_timestamp_seconds{walk="gap"}'] - began - 1000) < 60
    assert 'gateway_reconciliation_unfinished_since_timestamp_seconds{walk="gap"}' not in found
    assert found["gateway_inbox_events_never_delivered"] == last.counts["missing"] > 0


def test_differences_are_counted_by_class_and_outcome(world: World, sandbox: Sandbox, stripe_time: StripeTime) -> None:
    on_plus(world)
    drop_webhooks(world, sandbox)
    stripe_time.ahead = 60
    set_quantity_at_stripe(world, 7)
    stripe_time.ahead = 120
    list(drift.walk(world.gateway))
    found = scrape(world.gateway)
    shown = {name: number for name, number in found.items() if "_differences" in name or "_outcomes" in name}
    assert {name: number for name, number in shown.items() if number} == {
        'gateway_reconciliation_differences{class="dashboard_edit"}': 1,
        'gateway_reconciliation_outcomes{outcome="healed"}': 1,
    }
    assert len(shown) == len(Cause) + 3
    assert found['gateway_reconciliation_finished_timestamp_seconds{walk="drift"}'] > 0


def test_metrics_show_the_webhook_endpoint_after_a_check(world: World) -> None:
    assert "gateway_webhook_endpoint_problem" not in scrape(world.gateway)
    [endpoint] = world.stripe.v1.webhook_endpoints.list()
    config = replace(world.gateway.config, public_url=endpoint.url.removesuffix("/webhooks/stripe"))
    gateway = replace(world.gateway, config=config)
    endpoint_check.check_endpoint(gateway, HANDLERS)
    assert scrape(world.gateway)["gateway_webhook_endpoint_problem"] == 0
    world.stripe.v1.webhook_endpoints.update(endpoint.id, {"disabled": True})
    endpoint_check.check_endpoint(gateway, HANDLERS)
    assert scrape(world.gateway)["gateway_webhook_endpoint_problem"] == 1


def test_metrics_count_workers_that_lose_connections(world: World) -> None:
    assert scrape(world.gateway)["gateway_worker_connections_lost"] == 0
    report_worker(world.gateway, 3)
    assert scrape(world.gateway)["gateway_worker_connections_lost"] == 1


def test_metrics_report_a_missing_database(world: World) -> None:
    away = replace(world.gateway.config, database_url="postgresql://nobody@127.0.0.1:1/nothing")
    assert scrape(build_gateway(away))["gateway_database_up"] == 0


def test_metrics_queries_use_small_indexes(world: World) -> None:
    with world.gateway.database.transaction() as session:
        session.execute(
            text(
                "INSERT INTO webhook_events (id, type, created, livemode, payload, state, next_attempt_at, received_at)"
                " SELECT 'evt_old_' || n, 'x', now(), false, '', 'done', now(), now() FROM generate_series(1, 20000) n"
            )
        )
    with world.gateway.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE webhook_events"))
        for state in ("pending", "failed", "dead"):
            explain = f"EXPLAIN SELECT 1 FROM webhook_events WHERE state = '{state}' LIMIT 9"  # noqa: S608 - our own constant
            plan = "\n".join(connection.scalars(text(explain)))
            assert re.search(r"ix_webhook_events_(due|dead)", plan), plan


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=1).ok
    except requests.RequestException:
        return False


def test_counts_of_all_processes_are_added_up(world: World, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {**os.environ, **build_environment(world.gateway.config), "TMPDIR": str(tmp_path)}
    metrics = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "gateway", "serve", "--workers=2", "--threads=1"]
    command += [f"--bind=127.0.0.1:{port}", f"--metrics-bind={metrics}"]
    log = tmp_path / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=environment, stderr=output, stdout=output)
    try:
        eventually(lambda: log.read_text().count("Booting worker") == 2, 30)
        eventually(lambda: answers(f"{url}/health/live"), 30)
        body = json.dumps(event())
        for _ in range(40):  # each has its own connection, and the kernel spreads them over the processes
            requests.post(
                f"{url}/webhooks/stripe", data=body, headers={"Stripe-Signature": signature(body)}, timeout=10
            )
        url, name = f"http://{metrics}/metrics", 'gateway_webhook_deliveries_total{status="200"}'
        counted = {parse(requests.get(url, timeout=10).text)[name] for _ in range(10)}
        assert counted == {40}
        [directory] = tmp_path.glob("gateway-metrics-*")
        assert len(list(directory.glob("counter_*.db"))) == 2
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
    assert not list(tmp_path.glob("gateway-metrics-*"))
    assert find_leaks(log.read_text()) == []
