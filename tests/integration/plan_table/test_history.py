"""The plan history is complete, names actor and cause, is append-only and can rebuild the plan table."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError

from gateway.cli import cli
from gateway.db.models import OrganizationPlan, PlanHistory, Subscription
from gateway.services.mirror.refresh_jobs import defer_refresh
from gateway.services.plan_changes.request import write_intent
from gateway.services.runtime import Caller
from gateway.stripe_api.snapshots import CHANGE_ID_KEY
from schemas.changes import ChangeCommand
from tests.support.api import ApiClient, problem_of
from tests.support.commands import use_settings
from tests.support.json_types import Json
from tests.support.stripe_events import deliver
from tests.support.world import World


def entries(api: ApiClient, query: str = "") -> list[Json]:
    data: list[Json] = api.ok("GET", f"/subscription/history{query}")["data"]
    return data


def edit_at_stripe(world: World, quantity: int) -> None:
    """Change the quantity at Stripe, as sales does in the dashboard."""
    subscription = world.stripe.v1.subscriptions.retrieve(world.rows(Subscription)[0].id)
    item = subscription.to_dict()["items"]["data"][0]["id"]
    world.stripe.v1.subscriptions.update(subscription.id, {"items": [{"id": item, "quantity": quantity}]})


def test_history_entry_has_plan_time_actor_and_cause(api: ApiClient) -> None:
    before = datetime.now(UTC)
    change = api.ok("PATCH", "/subscription", plan="plus", quantity=3)
    latest, first = entries(api)
    assert (latest["version"], first["version"]) == (2, 1)
    assert (latest["plan"]["plan"], latest["plan"]["quantity"], first["plan"]["plan"]) == ("plus", 3, "free")
    assert latest["actor"] == {"type": "user", "id": "development"}
    assert latest["cause"] == {"type": "change", "id": change["id"]}
    assert before < datetime.fromisoformat(latest["recorded_at"]) < datetime.now(UTC)
    details = change["subscription"]
    assert latest["plan"]["current_period_end"] == details["current_period"]["end"]
    assert first["actor"]["type"] == "user"


def test_change_with_a_lost_answer_keeps_its_actor(world: World, api: ApiClient) -> None:
    caller = Caller(organization_id="org_1", actor="ada")
    call = write_intent(world.gateway, caller, ChangeCommand(plan="plus"), None)
    call.perform(world.stripe)  # the process dies, so only the webhook reports the change
    world.settle()
    latest = entries(api)[0]
    assert (latest["actor"], latest["cause"]) == (
        {"type": "user", "id": "ada"},
        {"type": "change", "id": call.change_id},
    )
    assert world.rows(PlanHistory)[-1].cause.startswith("evt_")


def test_actor_of_an_edit_at_stripe_is_sales(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    edit_at_stripe(world, 7)
    world.settle()
    latest = entries(api)[0]
    assert (latest["plan"]["quantity"], latest["actor"]) == (7, {"type": "sales", "id": None})
    assert latest["cause"]["type"] == "event"
    assert latest["cause"]["id"].startswith("evt_")


@pytest.mark.usefixtures("api")
def test_another_organizations_change_is_not_recorded_as_cause(world: World) -> None:
    caller = Caller(organization_id="org_1", actor="ada")
    change_id = write_intent(world.gateway, caller, ChangeCommand(plan="plus"), None).change_id
    other = world.api("org_2")
    other.ok("POST", "/subscription", plan="free")
    [theirs] = [row for row in world.rows(Subscription) if row.organization_id == "org_2"]
    item = theirs.items[0]["id"]
    metadata = {CHANGE_ID_KEY: change_id}  # as when someone copies a subscription in the dashboard
    world.stripe.v1.subscriptions.update(theirs.id, {"items": [{"id": item, "quantity": 2}], "metadata": metadata})
    world.settle()
    assert entries(other)[0]["actor"] == {"type": "sales", "id": None}


def test_actor_is_stripe_for_its_own_change_and_user_for_a_payment(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    world.settle()
    [last] = world.stripe.v1.events.list({"type": "customer.subscription.updated", "limit": 1}).data
    event: dict[str, Any] = last.to_dict(for_json=True)
    event |= {"id": "evt_unpaid", "created": event["created"] + 60, "request": {"id": None, "idempotency_key": None}}
    event["data"]["object"]["status"] = "past_due"
    event["data"]["previous_attributes"] = {"status": "active"}
    deliver(world, orjson.dumps(event))
    world.work()
    latest = entries(api)[0]
    assert (latest["plan"]["standing"], latest["actor"]["type"]) == ("grace", "stripe")
    assert latest["cause"] == {"type": "event", "id": "evt_unpaid"}
    event |= {
        "id": "evt_paid",
        "created": event["created"] + 60,
        "request": {"id": "req_1", "idempotency_key": "pay:in_1:1"},
    }
    event["data"]["object"]["status"] = "active"
    event["data"]["previous_attributes"] = {"status": "past_due"}
    deliver(world, orjson.dumps(event))
    world.work()
    latest = entries(api)[0]
    assert (latest["plan"]["standing"], latest["actor"]) == ("good", {"type": "user", "id": None})


def test_actor_of_a_change_found_by_a_refresh_is_system(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    world.settle()
    world.fault("webhook_dropped", times=100)
    edit_at_stripe(world, 9)
    subscription_id = world.rows(Subscription)[0].id
    with world.gateway.database.transaction() as session:
        defer_refresh(session, "subscription", subscription_id)
    world.work()
    latest = entries(api)[0]
    assert (latest["plan"]["quantity"], latest["actor"]) == (9, {"type": "system", "id": None})
    assert latest["cause"] == {"type": "reconciliation", "id": f"refresh of {subscription_id}"}


def test_history_is_paged_newest_first(world: World, api: ApiClient) -> None:
    for quantity in (1, 2, 3, 4):
        api.ok("PATCH", "/subscription", plan="plus", quantity=quantity)
    versions, cursor = [], ""
    while True:
        page = api.ok("GET", f"/subscription/history?limit=2{cursor}")
        versions.append([entry["version"] for entry in page["data"]])
        if not page["has_more"]:
            break
        cursor = f"&starting_after={versions[-1][-1]}"
    assert versions == [[5, 4], [3, 2], [1]]
    world.settle()
    assert len(entries(api)) == 5


def test_history_at_a_time_shows_the_plan_of_that_time(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    api.ok("DELETE", "/subscription")
    moments = [row.recorded_at for row in world.rows(PlanHistory)]

    def at(moment: datetime) -> tuple[int, str, str]:
        [entry] = entries(api, f"?at={moment.isoformat().replace('+00:00', 'Z')}")
        return entry["version"], entry["plan"]["plan"], entry["plan"]["status"]

    instant = timedelta(microseconds=1)
    assert at(moments[0] - instant) == (0, "free", "none")
    assert [at(moment) for moment in moments] == [(1, "free", "active"), (2, "plus", "active"), (3, "free", "active")]
    assert at(moments[1] - instant) == (1, "free", "active")
    assert at(datetime(2100, 1, 1, tzinfo=UTC)) == (3, "free", "active")


def test_history_without_entries_shows_free(world: World) -> None:
    assert entries(world.api()) == []
    [entry] = entries(world.api(), "?at=2026-01-01T00:00:00")
    assert (entry["version"], entry["recorded_at"], entry["actor"], entry["cause"]) == (0, None, None, None)
    assert (entry["plan"]["plan"], entry["plan"]["status"], entry["plan"]["cancel_at"]) == ("free", "none", None)


def test_another_organizations_history_is_its_own(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    assert entries(world.api("org_2")) == []
    [entry] = entries(world.api("org_2"), "?at=2100-01-01")
    assert entry["version"] == 0


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        *(("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("at=yesterday", "at"), ("at=", "at")),
        *(("starting_after=0", "starting_after"), ("starting_after=99999999999999999999", "starting_after")),
        *(("at=2026-01-01T00:00:00Z&starting_after=2", "starting_after"), ("organization_id=org_2", "organization_id")),
    ],
)
def test_invalid_query_is_422(world: World, query: str, wrong: str) -> None:
    answer = world.api()("GET", f"/subscription/history?{query}")
    assert problem_of(answer) == (422, "invalid_request")
    assert list(answer.get_json()["errors"]) == [wrong]


def test_token_without_read_scope_is_403(world: World) -> None:
    api = world.api(scopes=("billing:write",))
    assert api.problem("GET", "/subscription/history") == (403, "forbidden")


@pytest.mark.parametrize("statement", ["UPDATE plan_history SET cause = 'mine'", "DELETE FROM plan_history"])
@pytest.mark.usefixtures("api")
def test_nothing_recorded_can_be_altered(world: World, statement: str) -> None:
    with pytest.raises(IntegrityError, match="only appended to"), world.gateway.database.transaction() as session:
        session.execute(text(statement))
    assert len(world.rows(PlanHistory)) == 1


def rebuild(world: World, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    use_settings(monkeypatch, world.gateway.config)
    return CliRunner().invoke(cli, ["plans", "rebuild", *arguments], catch_exceptions=False)


def plan_table(world: World) -> list[dict[str, Any]]:
    columns = [column.key for column in OrganizationPlan.__table__.columns]
    return [{name: getattr(row, name) for name in columns} for row in world.rows(OrganizationPlan)]


@pytest.fixture
def lived(world: World, api: ApiClient) -> list[dict[str, Any]]:
    """Make some changes for two organizations and return the plan table."""
    api.ok("PATCH", "/subscription", plan="plus", quantity=2)
    edit_at_stripe(world, 4)
    world.settle()
    edit_at_stripe(world, 5)
    world.api("org_2").ok("POST", "/subscription", plan="free")
    world.settle()
    return plan_table(world)


def test_plan_table_can_be_rebuilt_from_its_history(
    world: World, lived: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = rebuild(world, monkeypatch)
    assert (result.exit_code, result.stdout) == (0, "The plan table matches its history.\n")
    with world.gateway.database.transaction() as session:
        session.execute(text("DELETE FROM organization_plans"))
    assert rebuild(world, monkeypatch, "--write").exit_code == 0
    assert plan_table(world) == lived


def test_altered_row_is_found_and_repaired(
    world: World, lived: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.gateway.database.transaction() as session:
        session.execute(
            update(OrganizationPlan)
            .where(OrganizationPlan.organization_id == "org_1")
            .values(plan="enterprise", current_period_end=None, version=9)
        )
    found = rebuild(world, monkeypatch)
    assert found.exit_code == 1
    [line] = found.stdout.splitlines()
    assert line.startswith("differs   org_1  current_period_end: None, but ")
    assert line.endswith("plan: enterprise, but plus in its history; version: 9, but 4 in its history")
    mended = rebuild(world, monkeypatch, "--write")
    assert (mended.exit_code, mended.stdout.splitlines()[0][:15]) == (0, "repaired  org_1")
    assert plan_table(world) == lived
    assert rebuild(world, monkeypatch).exit_code == 0


def test_gap_in_the_history_is_reported_and_left_alone(
    world: World, lived: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.gateway.database.transaction() as session:  # needs the right to disable triggers
        session.execute(text("ALTER TABLE plan_history DISABLE TRIGGER USER"))
        session.execute(text("DELETE FROM plan_history WHERE organization_id = 'org_2' OR version = 2"))
        session.execute(
            text("UPDATE plan_history SET before = jsonb_set(before, '{plan}', '\"odd\"') WHERE version = 4")
        )
        session.execute(text("ALTER TABLE plan_history ENABLE TRIGGER USER"))
    result = rebuild(world, monkeypatch, "--write")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "differs   org_1  history: version 2 is missing before 3",
        "differs   org_1  history: version 4 does not begin with the state in which the one before it ends",
        "differs   org_2  the row has no history to rebuild it from",
    ]
    assert plan_table(world) == lived
