"""``gateway`` as a shell sees it, in a process of its own: how it ends, and what it says."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
from sqlalchemy import text

from tests.integration.support import World
from tests.integration.test_webhook_ingress import deliver, event
from tests.processes import settings

INQUIRY = {"name": "Ada", "email": "ada@example.test", "company": "Ada GmbH", "message": "Enterprise?"}


def run(world: World, *arguments: str | bytes, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end; ``environment`` replaces settings."""
    config = world.gateway.config
    usual = {
        "GATEWAY_DATABASE_URL": config.database_url,
        "STRIPE_SECRET_KEY": config.stripe_secret_key,
        "STRIPE_API_BASE": config.stripe_api_base or "",
        "GATEWAY_JWT_DEVELOPMENT_SECRET": config.jwt_development_secret or "",
    }
    command = [sys.executable, "-m", "gateway", *arguments]
    return subprocess.run(
        command, env=settings(usual | environment), capture_output=True, text=True, timeout=60, check=False
    )


def sql(world: World, statement: str) -> None:
    with world.gateway.database.transaction() as session:
        session.execute(text(statement))


def prune_an_event(world: World) -> None:
    deliver(world, json.dumps(event(id="evt_test")))
    world.work()
    sql(world, "UPDATE webhook_events SET payload = NULL, state = 'done' WHERE id = 'evt_test'")


def write_to_the_plan_table(world: World) -> None:
    world.api().ok("POST", "/subscription", plan="free")
    sql(world, "UPDATE organization_plans SET version = 9")


@pytest.mark.parametrize(
    ("prepare", "arguments", "said"),
    [
        (lambda _: None, ("doctor",), "no worker gives signs of life"),
        (prune_an_event, ("events", "replay", "evt_test"), "its payload is pruned"),
        (write_to_the_plan_table, ("plans", "rebuild"), "differs   org_1"),
        (lambda world: world.api().ok("POST", "/sales-inquiries", **INQUIRY), ("sales", "deliver"), "0 of 1 delivered"),
    ],
    ids=["doctor", "replay", "rebuild", "deliver"],
)
def test_what_is_wrong_is_in_the_status_as_well(
    world: World, prepare: Callable[[World], object], arguments: tuple[str, ...], said: str
) -> None:
    prepare(world)
    ended = run(world, *arguments)
    assert said in ended.stdout + ended.stderr
    assert ended.returncode == 1


@pytest.mark.parametrize("arguments", [("plans", "rebuild"), ("sales", "deliver"), ("events", "list"), ("--help",)])
def test_what_is_right_ends_with_0(world: World, arguments: tuple[str, ...]) -> None:
    assert run(world, *arguments).returncode == 0
