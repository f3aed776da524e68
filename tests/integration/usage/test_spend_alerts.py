"""An organization is notified of its spend once in a period."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest

from gateway.config import Config
from gateway.db.models import Notification, SpendCheck, UsageEstimate
from gateway.services.spend_alerts.check import check_spend
from gateway.services.usage.record import SEALED_AFTER
from tests.support.api import ApiClient
from tests.support.database import execute_sql
from tests.support.json_types import Json
from tests.support.notified import write_receivers
from tests.support.usage import report_usage, send_usage, usage_event
from tests.support.world import World

SPENT = 50000  # the rest of this month and the next month, for an organization that has just bought Plus


@pytest.fixture
def config(config: Config, tmp_path: Path) -> Config:
    return replace(config, receivers=write_receivers(tmp_path / "receivers.toml", konnect="http://127.0.0.1:9"))


def use(world: World, meter: str, quantity: int) -> None:
    """Use so much, and let the worker's jobs run."""
    soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    send_usage(world, usage_event(meter, quantity, meter=meter, occurred_at=soon))
    report_usage(world)
    check(world)


def check(world: World) -> None:
    later = datetime.now(UTC) + SEALED_AFTER
    check_spend(replace(world.gateway, clock=lambda: later), Event())


def alerts(world: World) -> list[tuple[str, int]]:
    found = (each for each in world.rows(Notification) if each.type in ("usage.alert", "limit.exceeded"))
    return sorted((each.type, each.data["amount"]) for each in found)


def shown(world: World) -> Json:
    return world.api().ok("GET", "/entitlements")


def test_each_amount_alerts_once_in_a_period(world: World, plus: ApiClient) -> None:
    plus.ok("PUT", "/spend-alerts", amounts=[SPENT + 20000, SPENT + 10000, 900000], spend_limit=SPENT + 10000)
    use(world, "api_calls", 2500)
    assert (alerts(world), shown(world)["over_spend_limit"]) == ([], False)
    use(world, "portal_services", 16)
    once = [("limit.exceeded", SPENT + 10000), ("usage.alert", SPENT + 10000)]
    assert (alerts(world), shown(world)["over_spend_limit"]) == (once, True)
    use(world, "logins", 200)
    assert alerts(world) == once
    plus.ok("PUT", "/spend-alerts", amounts=[], spend_limit=900000)
    assert not shown(world)["over_spend_limit"]


def test_alert_is_armed_again_in_the_next_period(world: World, plus: ApiClient) -> None:
    plus.ok("PUT", "/spend-alerts", amounts=[SPENT // 2])
    check(world)
    execute_sql(world, "UPDATE spend_crossings SET period_start = period_start - interval '1 month'")
    use(world, "api_calls", 1)
    assert alerts(world) == [("usage.alert", SPENT // 2)] * 2


def test_far_from_an_amount_stripe_is_not_asked(world: World, plus: ApiClient) -> None:
    plus.ok("PUT", "/spend-alerts", amounts=[900000])
    use(world, "api_calls", 2500)
    assert (world.rows(UsageEstimate), world.rows(SpendCheck)) == ([], [])


def test_upgrade_alone_reaches_an_amount(world: World, plus: ApiClient) -> None:
    plus.ok("PUT", "/spend-alerts", amounts=[SPENT * 2 - 1000])
    check(world)
    plus.ok("PATCH", "/subscription", quantity=2)
    check(world)
    assert alerts(world) == [("usage.alert", SPENT * 2 - 1000)]


def test_without_a_choice_the_catalogue_decides(world: World) -> None:
    default: Json = {"currency": "usd", "amounts": [70000], "spend_limit": None}
    new = world.api("org_new")
    assert new.ok("GET", "/spend-alerts") == default
    chosen = {"amounts": [1, 2], "spend_limit": 3}
    assert new.ok("PUT", "/spend-alerts", **chosen) == {"currency": "usd", **chosen}
    execute_sql(world, "UPDATE spend_alerts SET currency = 'eur'")
    assert new.ok("GET", "/spend-alerts") == default


def test_more_than_five_amounts_are_refused(api: ApiClient) -> None:
    for amounts in ([1, 2, 3, 4, 5, 6], [1, 1], [0]):
        assert api.problem("PUT", "/spend-alerts", amounts=amounts) == (422, "invalid_request")
