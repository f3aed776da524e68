"""An organization sees its usage, and what the month costs so far."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from gateway.db.models import UsageEstimate
from tests.support.api import ApiClient
from tests.support.usage import report_usage, send_usage, usage_event
from tests.support.world import World


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=2)


def test_usage_is_shown_by_day_with_what_stripe_counted(world: World, plus: ApiClient) -> None:
    now = soon()
    today, yesterday = now.isoformat(), (now - timedelta(days=1)).isoformat()
    send_usage(world, usage_event("e1", 3, occurred_at=today), usage_event("e2", 4, occurred_at=yesterday))
    send_usage(world, usage_event("e3", 9, organization_id="org_2"))
    days = (yesterday[:10], today[:10])
    path = f"/usage?from={days[0]}&to={days[1]}"
    report_usage(world)
    shown = plus.ok("GET", path)
    assert (shown["from"], shown["to"]) == days
    [calls] = [each for each in shown["meters"] if each["meter"] == "api_calls"]
    assert calls["total"] == {"quantity": 7, "acknowledged": 3, "refused": 0}
    assert [(each["date"], each["quantity"]) for each in calls["days"]] == list(zip(days, (4, 3), strict=True))


def test_days_out_of_order_or_too_many_are_refused(api: ApiClient) -> None:
    for days in ("from=2026-02-01&to=2026-01-01", "from=2024-01-01&to=2026-01-01", "from=x"):
        assert api.problem("GET", f"/usage?{days}") == (422, "invalid_request")


def test_estimate_adds_up_and_is_kept_for_five_minutes(world: World, plus: ApiClient) -> None:
    first = plus.ok("GET", "/usage/estimate")["estimate"]
    parts = ("base", "prorations", "usage", "discounts", "tax", "balance")
    assert sum(first[each] for each in parts) == first["due"]
    assert (first["base"], first["usage"]) == (25000, 0)
    send_usage(world, usage_event("e1", 100, occurred_at=soon().isoformat()))
    report_usage(world)
    assert plus.ok("GET", "/usage/estimate")["estimate"] == first
    age = {UsageEstimate.calculated_at: UsageEstimate.calculated_at - timedelta(minutes=5)}
    world.gateway.database.execute(update(UsageEstimate).values(age))
    assert plus.ok("GET", "/usage/estimate")["estimate"]["usage"] == 200
    plus.ok("PATCH", "/subscription", quantity=2)
    changed = plus.ok("GET", "/usage/estimate")["estimate"]
    assert (changed["base"], changed["usage"]) == (50000, 200)


def test_without_a_subscription_there_is_no_estimate(world: World) -> None:
    assert world.api("org_new").ok("GET", "/usage/estimate") == {"estimate": None}
