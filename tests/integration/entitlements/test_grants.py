"""An operator grants a complimentary plan, without a subscription at Stripe."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from gateway.app import create_app
from gateway.db.models import Grant, PlanHistory
from gateway.errors import Conflict, InvalidRequest, NotFound
from gateway.services.grants import add_grant, end_due_grants, end_grant
from gateway.services.plan_table.rebuild import rebuild_plan_table
from gateway.services.reconciliation.drift_phases import compare_plan_table
from gateway.services.runtime import Gateway
from tests.support.json_types import Json
from tests.support.world import World

NEXT_YEAR = datetime.now(UTC) + timedelta(days=365)
AFTERWARDS = NEXT_YEAR + timedelta(seconds=1)


def grant(gateway: Gateway, plan: str = "team", organization_id: str = "org_1") -> Grant:
    return add_grant(gateway, organization_id, plan, until=NEXT_YEAR, reason="Beta", operator="ada")


def later(world: World) -> Gateway:
    """Return the gateway with a clock that is past the grant's end."""
    return replace(world.gateway, clock=lambda: AFTERWARDS)


def plan_of(world: World) -> str:
    return str(world.api().ok("GET", "/entitlements")["plan"])


def latest(world: World) -> Json:
    found: Json = world.api().ok("GET", "/subscription/history?limit=1")["data"][0]
    return found


def test_a_grant_is_used_and_recorded_until_it_is_ended(world: World) -> None:
    made = grant(world.gateway)
    details = world.api().ok("GET", "/subscription")
    assert (details["plan"], details["requested_plan"], details["status"]) == ("team", "basic", "none")
    assert (details["grant"]["plan"], datetime.fromisoformat(details["grant"]["until"])) == ("team", NEXT_YEAR)
    assert latest(world)["actor"] == {"type": "operator", "id": None}
    assert latest(world)["cause"] == {"type": "grant", "id": made.id}
    assert world.rows(PlanHistory)[-1].actor == "ada"
    end_grant(world.gateway, "org_1", "bob")
    assert (plan_of(world), world.api().ok("GET", "/subscription")["grant"]) == ("basic", None)
    assert (world.rows(PlanHistory)[-1].actor, world.rows(Grant)[0].ended_by) == ("bob", "bob")
    assert list(rebuild_plan_table(world.gateway, write=False)) == []
    with pytest.raises(NotFound):
        end_grant(world.gateway, "org_1", "bob")


def test_a_second_grant_needs_the_end_of_the_first(world: World) -> None:
    grant(world.gateway)
    with pytest.raises(Conflict):
        grant(world.gateway, "business")
    add_grant(later(world), "org_1", "business", until=AFTERWARDS + timedelta(days=1), reason="More", operator="ada")
    assert plan_of(world) == "business"
    assert [each.ended_by for each in sorted(world.rows(Grant), key=lambda each: each.created_at)] == [None, None]


@pytest.mark.parametrize("plan", ["basic", "nothing"])
def test_a_grant_of_no_use_is_refused(world: World, plan: str) -> None:
    with pytest.raises(InvalidRequest):
        grant(world.gateway, plan)
    with pytest.raises(InvalidRequest):
        grant(later(world))


def test_a_grant_that_is_over_gives_nothing_without_a_worker(world: World) -> None:
    grant(world.gateway)
    client = create_app(later(world)).test_client()
    headers = {"Authorization": f"Bearer {world.token(scopes=('billing:read', 'plans:read'))}"}
    for path in ("/entitlements", "/subscription", "/organizations/org_1/plan"):
        assert client.get(f"/v1{path}", headers=headers).get_json()["plan"] == "basic", path
    at = AFTERWARDS.isoformat().replace("+00:00", "Z")
    [entry] = world.api().ok("GET", f"/subscription/history?at={at}")["data"]
    assert (entry["plan"]["plan"], entry["plan"]["granted_plan"]) == ("basic", None)


def test_the_job_ends_grants_whose_time_is_over(world: World) -> None:
    made = grant(world.gateway)
    assert end_due_grants(world.gateway) == 0
    assert (end_due_grants(later(world)), end_due_grants(later(world))) == (1, 0)
    assert world.plan_row().granted_plan is None
    assert (latest(world)["actor"], latest(world)["cause"]["id"]) == ({"type": "system", "id": None}, made.id)


def test_the_higher_one_of_grant_and_subscription_is_used(world: World) -> None:
    grant(world.gateway, "starter")
    api = world.api()
    api.ok("POST", "/subscription", plan="basic")
    api.add_card(world.stripe)
    assert plan_of(world) == "starter"
    change = api.ok("PATCH", "/subscription", plan="team", quantity=2)
    assert (change["state"], change["subscription"]["plan"]) == ("applied", "team")
    change = api.ok("DELETE", "/subscription")
    assert (change["state"], change["subscription"]["plan"]) == ("applied", "starter")
    world.settle()
    assert (plan_of(world), world.plan_row().requested_plan) == ("starter", "basic")
    assert compare_plan_table(world.gateway, None, lambda *_: set()).differences == []


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM grants",
        "UPDATE grants SET until = until + interval '1 year'",
        "UPDATE grants SET ended_by = 'eve' WHERE ended_at IS NOT NULL",
        "INSERT INTO grants SELECT 'grt_2', 'org_1', plan, until, reason, granted_by, created_at FROM grants LIMIT 1",
    ],
)
def test_the_database_keeps_grants_as_they_were_made(world: World, statement: str) -> None:
    grant(world.gateway)
    end_grant(world.gateway, "org_1", "ada")
    grant(world.gateway)
    with pytest.raises(IntegrityError), world.gateway.database.transaction() as session:
        session.execute(text(statement))
