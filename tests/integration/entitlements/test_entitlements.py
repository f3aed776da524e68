"""The UI and other services read what an organization may use."""

import pytest
from sqlalchemy import text
from werkzeug.test import TestResponse

from gateway.errors import DatabaseUnavailable
from tests.support.api import ApiClient
from tests.support.counted_statements import counted
from tests.support.json_types import Json
from tests.support.world import World

NEVER_SEEN = {
    "organization_id": "org_9",
    "plan": "basic",
    "plan_name": "Basic",
    "status": "none",
    "standing": "good",
    "quantity": 1,
    "granted_until": None,
    "version": 0,
}


def subscribe(world: World, organization_id: str = "org_1") -> ApiClient:
    """Put an organization on three seats of Starter."""
    api = world.api(organization_id)
    api.ok("POST", "/subscription", plan="basic")
    api.add_card(world.stripe)
    api.ok("PATCH", "/subscription", plan="starter", quantity=3)
    return api


def service(world: World) -> ApiClient:
    return world.api("org_service", ("plans:read",))


def set_column(world: World, column: str, value: str) -> None:
    with world.gateway.database.transaction() as session:
        session.execute(text(f"UPDATE organization_plans SET {column} = :value"), {"value": value})  # noqa: S608 - ours


def test_an_upgrade_changes_the_entitlements_with_its_answer(world: World) -> None:
    before = world.api().ok("GET", "/entitlements")
    assert (before["plan"], before["status"], before["limits"]) == ("basic", "none", {"seats": 1})
    assert (before["features"], before["over_limits"]) == ({"sso": False}, [])
    after = subscribe(world).ok("GET", "/entitlements")
    assert (after["plan"], after["quantity"], after["limits"]) == ("starter", 3, {"seats": 50})


def test_a_level_is_known_before_the_first_plan(world: World) -> None:
    level = {"organization_id": "org_1", "meter": "seats", "value": 3}
    world.api(scopes=("usage:write",)).ok("PUT", "/usage/levels", **level)
    found = service(world).ok("GET", "/organizations/org_1/entitlements")
    assert (found["status"], found["levels"]) == ("none", {"seats": 3})
    assert found["over_limits"] == [{"limit": "seats", "allowed": 1, "present": 3}]


def test_a_downgrade_is_quoted_with_the_limits_it_exceeds(world: World) -> None:
    quote = subscribe(world).ok("POST", "/subscription/preview", plan="basic")
    assert quote["over_limits"] == [{"limit": "seats", "allowed": 1, "present": 3}]
    assert world.api().ok("POST", "/subscription/preview", plan="team")["over_limits"] == []


def test_a_suspended_organization_gets_the_floor_plan(world: World) -> None:
    api = subscribe(world)
    set_column(world, "standing", "suspended")
    set_column(world, "plan", "basic")
    found = api.ok("GET", "/entitlements")
    assert (found["standing"], found["limits"], found["levels"]) == ("suspended", {"seats": 1}, {"seats": 3})
    assert found["over_limits"] == [{"limit": "seats", "allowed": 1, "present": 3}]


def test_an_unmapped_plan_gives_the_floor_plans_entitlements(world: World) -> None:
    api = subscribe(world)
    set_column(world, "plan", "unmapped")
    found = api.ok("GET", "/entitlements")
    assert (found["plan"], found["limits"], found["features"]) == ("unmapped", {"seats": 1}, {"sso": False})


def test_a_service_reads_any_organization_with_one_statement(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    subscribe(world)
    with counted(monkeypatch) as statements:
        plan = service(world).ok("GET", "/organizations/org_1/plan")
        assert (plan["plan"], plan["quantity"]) == ("starter", 3)
        entitlements = service(world).ok("GET", "/organizations/org_1/entitlements")
        assert entitlements["limits"] == {"seats": 50}
        found = service(world).ok("POST", "/organizations/plans", organization_ids=["org_9", "org_1", "org_9"])
        assert found["data"] == [NEVER_SEEN, plan, NEVER_SEEN]
    assert [("organization_plans" in each) for each in statements] == [True] * 3
    assert service(world).ok("GET", "/organizations/org_9/plan") == NEVER_SEEN


def test_a_user_cannot_read_another_organizations_plan(world: World) -> None:
    for path in ("/organizations/org_1/plan", "/organizations/org_1/entitlements"):
        assert world.api("org_2").problem("GET", path) == (403, "forbidden")
    assert world.api().problem("POST", "/organizations/plans", organization_ids=["org_1"]) == (403, "forbidden")
    assert service(world).problem("GET", "/entitlements") == (403, "forbidden")


def test_an_unusable_id_is_refused(world: World) -> None:
    assert service(world).problem("GET", "/organizations/org%201/plan") == (404, "not_found")
    for ids in ([], ["org 1"], ["org_1"] * 501):
        assert service(world).problem("POST", "/organizations/plans", organization_ids=ids) == (422, "invalid_request")
    assert len(service(world).ok("POST", "/organizations/plans", organization_ids=["org_1"] * 500)["data"]) == 500


def test_a_lost_connection_is_an_outage_and_is_replaced(world: World) -> None:
    with pytest.raises(DatabaseUnavailable):
        world.gateway.database.read("SELECT pg_terminate_backend(pg_backend_pid())", {})
    assert service(world).ok("GET", "/organizations/org_9/plan") == NEVER_SEEN


def test_an_unchanged_plan_is_not_sent_again(world: World) -> None:
    api = subscribe(world)

    def get(tag: str) -> TestResponse:
        headers = {"Authorization": f"Bearer {world.token('service', ('plans:read',))}", "If-None-Match": tag}
        return world.client.get("/v1/organizations/org_1/plan", headers=headers)

    first = get('"other"')
    tag = first.headers["ETag"]
    assert (first.status_code, first.headers["Cache-Control"]) == (200, "private, no-cache")
    unchanged = get(f'"other", W/{tag}')
    assert (unchanged.status_code, unchanged.data, unchanged.headers["ETag"]) == (304, b"", tag)
    api.ok("PATCH", "/subscription", quantity=4)
    body: Json = get(tag).get_json()
    assert body["quantity"] == 4
