"""Usage events are stored once, and every event of a call is answered for."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from gateway.db.models import PlanHistory, UsageEvent, UsageReport
from gateway.services.operations import retention
from gateway.services.usage.record import record_usage
from schemas.usage import SentEvent
from tests.support.api import ApiClient
from tests.support.usage import send_usage, usage_event
from tests.support.world import World


def ago(**time: float) -> str:
    return (datetime.now(UTC) - timedelta(**time)).isoformat()


def test_repeated_event_is_stored_and_added_up_once(world: World) -> None:
    first, second = usage_event("e1", 3), usage_event("e2", 4)
    assert send_usage(world, first, first) == {"new": ["e1"], "known": [], "refused": []}
    assert send_usage(world, second, first) == {"new": ["e2"], "known": ["e1"], "refused": []}
    assert [each.quantity for each in world.rows(UsageEvent)] == [3, 4]
    assert sum(each.quantity for each in world.rows(UsageReport)) == 7


@pytest.mark.parametrize(
    ("meter", "age", "reason"),
    [
        ("unknown", {}, "unknown_meter"),
        ("api_calls", {"days": 35, "minutes": 1}, "too_old"),
        ("api_calls", {"minutes": -6}, "too_far_ahead"),
    ],
)
def test_event_that_stripe_would_refuse_is_not_stored(
    world: World, meter: str, age: dict[str, float], reason: str
) -> None:
    answer = send_usage(world, usage_event("e1", meter=meter, occurred_at=ago(**age)), usage_event("e2"))
    assert answer == {"new": ["e2"], "known": [], "refused": [{"id": "e1", "reason": reason}]}
    assert [each.id for each in world.rows(UsageEvent)] == ["e2"]


def test_id_of_another_event_is_refused(world: World) -> None:
    event = usage_event("e1")
    send_usage(world, event)
    reused = {"new": [], "known": [], "refused": [{"id": "e1", "reason": "id_reused"}]}
    assert send_usage(world, event | {"quantity": 2}) == reused
    assert send_usage(world, event | {"organization_id": "org_2"}) == reused
    twice = usage_event("e2")
    answer = send_usage(world, twice, twice | {"quantity": 2})
    assert answer["refused"] == [{"id": "e2", "reason": "id_reused"}]


def test_malformed_event_refuses_the_call(world: World) -> None:
    service = world.api(scopes=("usage:write",))
    for wrong in ({"quantity": -1}, {"quantity": "1"}, {"occurred_at": "now"}, {"id": ""}, {"more": 1}):
        answer = service("POST", "/usage", events=[usage_event("e1"), usage_event("e2") | wrong])
        assert answer.status_code == 422
    assert service.problem("POST", "/usage", events=[]) == (422, "invalid_request")
    assert world.rows(UsageEvent) == []


def test_usage_needs_its_scope(world: World) -> None:
    assert world.api().problem("POST", "/usage", events=[usage_event("e1")]) == (403, "forbidden")


def test_thousand_events_of_any_organizations_are_one_call(world: World) -> None:
    events = [usage_event(f"e{n}", organization_id=f"org_{n % 7}") for n in range(1000)]
    assert len(send_usage(world, *events)["new"]) == 1000
    service = world.api(scopes=("usage:write",))
    assert service.problem("POST", "/usage", events=[*events, usage_event("more")]) == (422, "invalid_request")


def test_no_report_crosses_an_hour_or_a_plan_change(world: World, api: ApiClient) -> None:
    send_usage(world, usage_event("free", 1), usage_event("earlier", 2, occurred_at=ago(hours=3)))
    api.ok("PATCH", "/subscription", plan="plus")
    send_usage(world, usage_event("plus", 4, occurred_at=ago(seconds=-2)))
    reports = {each.quantity: each for each in world.rows(UsageReport)}
    assert {quantity: each.state for quantity, each in reports.items()} == {
        1: "not_billed",
        2: "not_billed",
        4: "open",
    }


def test_each_second_belongs_to_the_last_plan_of_it(world: World, plus: ApiClient) -> None:
    [*_, bought] = world.rows(PlanHistory)
    second = (bought.began_at or bought.recorded_at).replace(microsecond=0)
    for name, moment in (("free", second - timedelta(seconds=1)), ("bought", second)):
        send_usage(world, usage_event(name, occurred_at=moment.isoformat()))
    plus.ok("DELETE", "/subscription")
    [*_, left] = world.rows(PlanHistory)
    second = left.recorded_at.replace(microsecond=0)
    send_usage(world, usage_event("left", occurred_at=second.isoformat()))
    states = {each.id: each.state for each in world.rows(UsageReport)}
    assert {each.id: states[each.report_id] == "not_billed" for each in world.rows(UsageEvent)} == {
        "free": True,
        "bought": False,
        "left": True,
    }


@pytest.mark.parametrize(("meter", "quantities"), [("api_calls", [9]), ("portal_services", [2]), ("logins", [1, 1])])
def test_aggregation_decides_what_is_added_up(world: World, meter: str, quantities: list[int]) -> None:
    now = datetime.now(UTC)
    hour = now.replace(minute=0, second=0, microsecond=0)
    standing = replace(world.gateway, clock=lambda: now)  # one report takes up what arrives in one minute
    record_usage(standing, [SentEvent("e1", "org_1", meter, 2, hour - timedelta(seconds=10))])
    record_usage(standing, [SentEvent("e2", "org_1", meter, 7, hour - timedelta(seconds=20))])
    assert [each.quantity for each in world.rows(UsageReport)] == quantities


def test_events_are_deleted_after_a_year_and_reports_stay(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "USAGE_BATCH_SIZE", 3)
    send_usage(world, *(usage_event(f"e{n}", organization_id=f"org_{n}") for n in range(9)), usage_event("kept"))
    with world.gateway.database.transaction() as session:
        for event_id, days in (("e%", 367), ("kept", 365)):
            moment = world.gateway.clock() - timedelta(days=days)
            session.execute(update(UsageEvent).where(UsageEvent.id.like(event_id)).values(occurred_at=moment))
    retention.prune(world.gateway)
    assert [each.id for each in world.rows(UsageEvent)] == ["kept"]
    assert sum(each.events for each in world.rows(UsageReport)) == 10
