"""``gateway doctor`` and the readiness check report each problem and nothing else."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from sqlalchemy import update

from gateway.app import build_gateway, create_app
from gateway.cli import cli
from gateway.db.models import WebhookEvent
from gateway.db.revision import HEAD
from gateway.endpoints.request_context import EXTENSION
from gateway.sandbox import Sandbox
from gateway.services.operations import doctor
from gateway.services.operations.worker_reports import report_worker
from gateway.services.runtime import Gateway
from gateway.services.webhooks import endpoint_check
from handlers import HANDLERS
from tests.support.api import problem_of
from tests.support.clock import StripeTime
from tests.support.commands import use_settings
from tests.support.database import execute_sql
from tests.support.metrics import scrape
from tests.support.stripe_events import deliver, event
from tests.support.world import World

Change = Callable[[World], None]
# The verbs with which a sentence of a finding may say what to do.
ADVICE = re.compile(
    r"(?:^|[.:] )(?:Add|Check|Compare|Create|Enable|End|Find|Free|Look|Lower|Permit|Repair|Replace|Restart|Run|See|Set"
    r"|Start|If it stays, see)\b"
)


@pytest.fixture
def healthy(world: World) -> World:
    """Set up a gateway without problems. A worker lives, the inbox is empty and the endpoint is registered."""
    world.settle()
    execute_sql(world, "DELETE FROM procrastinate_workers")
    execute_sql(world, "INSERT INTO procrastinate_workers DEFAULT VALUES")
    [endpoint] = world.stripe.v1.webhook_endpoints.list()
    config = replace(world.gateway.config, public_url=endpoint.url.removesuffix("/webhooks/stripe") + "/")
    config = replace(config, rate_limit_factor=1)
    world.gateway = replace(world.gateway, config=config)
    return world


def wrong(gateway: Gateway) -> list[str]:
    """Return the problems that the doctor finds. Each must say what to do."""
    found = [finding.text for finding in doctor.run_checks(gateway, HANDLERS) if not finding.ok]
    assert [each for each in found if not ADVICE.search(each)] == []
    return found


def replace_endpoint(world: World, **params: object) -> None:
    """Replace the webhook endpoint with one that has other parameters."""
    [old] = world.stripe.v1.webhook_endpoints.list()
    world.stripe.v1.webhook_endpoints.delete(old.id)
    plain = {"url": old.url, "enabled_events": list(HANDLERS), "api_version": "2026-10-28.endive", **params}
    world.stripe.v1.webhook_endpoints.create({k: v for k, v in plain.items() if v is not None})  # type: ignore[arg-type]  # the tests pass valid ones


def disable(world: World) -> None:
    [endpoint] = world.stripe.v1.webhook_endpoints.list()
    world.stripe.v1.webhook_endpoints.update(endpoint.id, {"disabled": True})


def wait_in_the_inbox(world: World) -> None:
    deliver(world, json.dumps(event()))
    with world.gateway.database.transaction() as session:
        due = world.gateway.clock() - timedelta(minutes=10)
        session.execute(update(WebhookEvent).values(state="pending", next_attempt_at=due))


def leave_a_dead_event(world: World) -> None:
    deliver(world, json.dumps(event()))
    execute_sql(world, "UPDATE webhook_events SET state = 'dead'")


def leave_a_job(status: str) -> Change:
    values = f"VALUES ('default', 'gateway.refresh', '{status}')"
    return lambda world: execute_sql(world, f"INSERT INTO procrastinate_jobs (queue_name, task_name, status) {values}")


def leave_a_late_job(world: World) -> None:
    values = "VALUES ('default', 'gateway.refresh', 'todo', now() - interval '10 minutes')"
    execute_sql(world, f"INSERT INTO procrastinate_jobs (queue_name, task_name, status, scheduled_at) {values}")


def stop_periodic_jobs(world: World) -> None:
    values = "VALUES ('gateway.drain_inbox', extract(epoch FROM now())::bigint - 600, '')"
    execute_sql(world, f"INSERT INTO procrastinate_periodic_defers (task_name, defer_timestamp, periodic_id) {values}")


def refuse_a_delivery(world: World) -> None:
    refused = world.client.post("/webhooks/stripe", data=b"{}", headers={"Stripe-Signature": "t=1,v1=0"})
    assert refused.status_code == 400


def rename_a_product(world: World) -> None:
    world.stripe.v1.products.update("konnect_plus", {"name": "Another name"})


def test_healthy_gateway_lists_its_checks_without_problems(healthy: World) -> None:
    findings = list(doctor.run_checks(healthy.gateway, HANDLERS))
    assert [finding.text for finding in findings if not finding.ok] == []
    checked = {finding.text.partition(":")[0] for finding in findings}
    assert checked == {
        *("settings", "limits", "database", "commits", "Stripe", "clock"),
        *("webhook endpoint", "catalogue", "workers", "clocks", "connections", "inbox", "locks", "jobs"),
        *("key server", "disk", "prices", "webhook signatures", "modes", "periodic jobs", "probe"),
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (disable, "is disabled, so Stripe sends nothing"),
        (lambda world: replace_endpoint(world, url="https://elsewhere.example/"), "there is no endpoint for http"),
        (lambda world: replace_endpoint(world, api_version=None), "in the account's default version, not 2026-10-28"),
        (
            lambda world: replace_endpoint(world, enabled_events=[each for each in HANDLERS if each != "invoice.paid"]),
            "does not send invoice.paid. Add the types that",
        ),
        (
            lambda world: replace_endpoint(world, enabled_events=["invoice.paid"]),
            " more. Add the types that `gateway events types` lists",
        ),
        (
            lambda world: execute_sql(
                world, "UPDATE stripe_budget SET breaker_open_until = now() + interval '1 minute'"
            ),
            "a circuit breaker is open",
        ),
        (
            lambda world: report_worker(world.gateway, 3),
            "connections: connection of worker",
        ),
        (lambda world: execute_sql(world, "DELETE FROM prices"), "Run `gateway catalog sync`"),
        (
            lambda world: execute_sql(world, "UPDATE prices SET unit_amount = unit_amount + 1"),
            "free, plus: another price",
        ),
        (lambda world: execute_sql(world, "DELETE FROM procrastinate_workers"), "no worker is alive"),
        (
            lambda world: execute_sql(
                world, "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 minute'"
            ),
            "no worker is alive",
        ),
        (wait_in_the_inbox, "has been due for 60"),
        (leave_a_dead_event, "`gateway events list --state dead`"),
        (leave_a_job("failed"), "jobs: 1 failed: gateway.refresh (1)"),
        (leave_a_job("doing"), "jobs: 1 stalled"),
        (leave_a_late_job, "jobs: the oldest has been due for 60"),
        (stop_periodic_jobs, "periodic jobs: last started 60"),
        (refuse_a_delivery, "Compare STRIPE_WEBHOOK_SECRETS with the signing secret"),
        (lambda world: deliver(world, json.dumps(event(livemode=True))), "modes: events of the other mode arrive"),
        (rename_a_product, "prices: Stripe differs (plus: update the product konnect_plus)"),
    ],
)
def test_doctor_reports_exactly_the_problem(healthy: World, change: Change, message: str) -> None:
    change(healthy)
    [found] = wrong(healthy.gateway)
    assert message in found


def test_doctor_reports_limits_that_protect_nothing(healthy: World) -> None:
    generous = replace(healthy.gateway.config, rate_limit_factor=11)
    [found] = wrong(replace(healthy.gateway, config=generous))
    assert found.startswith("limits: 11 times the shipped numbers, so one organization can use up Stripe's rate limit")


def test_accepted_delivery_ends_the_report_of_refused_ones(healthy: World) -> None:
    refuse_a_delivery(healthy)
    assert healthy.client.get("/health/ready").status_code == 200  # anyone can send a bad signature
    deliver(healthy, json.dumps(event()))
    healthy.work()
    assert wrong(healthy.gateway) == []


def test_full_disk_and_keys_of_two_modes_are_reported(healthy: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1, total=100))
    config = replace(healthy.gateway.config, stripe_publishable_key="pk_live_1")
    gateway = replace(healthy.gateway, config=config)
    disk, modes = wrong(gateway)
    assert disk.endswith("Free some space, or set TMPDIR to another disk.")
    assert (
        modes
        == "modes: STRIPE_PUBLISHABLE_KEY is not of test mode, but STRIPE_SECRET_KEY is. Set both for the same mode."
    )
    assert (scrape(healthy.gateway)["gateway_mode_problem"], scrape(gateway)["gateway_mode_problem"]) == (0, 1)


def test_endpoint_for_exactly_the_handled_types_is_no_problem(healthy: World) -> None:
    replace_endpoint(healthy)
    assert wrong(healthy.gateway) == []


def test_clock_difference_is_reported(healthy: World, stripe_time: StripeTime) -> None:
    stripe_time.ahead = 300
    [found] = wrong(healthy.gateway)
    assert "seconds behind Stripe's" in found


def test_unreachable_database_is_reported_without_its_password(healthy: World) -> None:
    away = replace(healthy.gateway.config, database_url="postgresql://nobody:secret@127.0.0.1:1/nothing")
    [found] = wrong(build_gateway(away))
    assert found.startswith("database: The database cannot be reached")
    assert found.count("(") == found.count(")") == 1
    assert "secret" not in found


def test_unreachable_stripe_and_missing_secrets_are_reported(healthy: World, sandbox: Sandbox) -> None:
    sandbox.close()
    nowhere = replace(healthy.gateway.config, stripe_webhook_secrets=())
    found = wrong(replace(healthy.gateway, config=nowhere))
    assert [each.partition(":")[0] for each in found] == ["settings", "Stripe"]


def test_doctor_prints_a_line_per_check_and_exits_with_1(healthy: World, monkeypatch: pytest.MonkeyPatch) -> None:
    use_settings(monkeypatch, healthy.gateway.config)
    checks = len(list(doctor.run_checks(healthy.gateway, HANDLERS)))
    good = CliRunner().invoke(cli, ["doctor"], catch_exceptions=False)
    assert (good.exit_code, good.output.count("✓"), "✗" in good.output) == (0, checks, False)
    disable(healthy)
    bad = CliRunner().invoke(cli, ["doctor"], catch_exceptions=False)
    assert (bad.exit_code, bad.output.count("✗")) == (1, 1)
    assert not any(secret in bad.output for secret in ("whsec_", "sk_test", "postgresql://"))


def test_readiness_shows_the_last_endpoint_check_and_stays_ready(healthy: World) -> None:
    assert healthy.client.get("/health/ready").get_json() == {"status": "ok", "webhook_endpoint": None}
    disable(healthy)
    endpoint_check.check_endpoint(healthy.gateway, HANDLERS)
    answer = healthy.client.get("/health/ready")
    assert answer.status_code == 200
    assert "is disabled" in answer.get_json()["webhook_endpoint"]["problem"]
    replace_endpoint(healthy)
    endpoint_check.check_endpoint(healthy.gateway, HANDLERS)
    assert healthy.client.get("/health/ready").get_json()["webhook_endpoint"]["problem"] is None


def test_last_endpoint_check_stays_while_stripe_is_unreachable(healthy: World, sandbox: Sandbox) -> None:
    endpoint_check.check_endpoint(healthy.gateway, HANDLERS)
    before = endpoint_check.load_last_check(healthy.gateway)
    assert before is not None
    sandbox.close()
    endpoint_check.check_endpoint(healthy.gateway, HANDLERS)
    after = endpoint_check.load_last_check(healthy.gateway)
    assert after is not None
    assert (after.problem, after.checked_at) == (None, before.checked_at)


def test_gateway_without_a_migrated_database_is_not_ready(healthy: World) -> None:
    execute_sql(healthy, "UPDATE alembic_version SET version_num = '0001'")
    try:
        assert problem_of(healthy.client.get("/health/ready")) == (503, "database_unavailable")
        assert "not migrated. Run `gateway migrate`." in wrong(healthy.gateway)[0]
        assert scrape(healthy.gateway) | {"gateway_database_migrated": 0, "gateway_database_up": 1} == scrape(
            healthy.gateway
        )
    finally:
        execute_sql(healthy, f"UPDATE alembic_version SET version_num = '{HEAD}'")  # noqa: S608 - our own constant


def test_without_a_database_it_is_not_ready(healthy: World) -> None:
    away = replace(healthy.gateway.config, database_url="postgresql://nobody@127.0.0.1:1/nothing")
    app = create_app(build_gateway(away))
    assert problem_of(app.test_client().get("/health/ready")) == (503, "database_unavailable")
    app.extensions[EXTENSION].close()
