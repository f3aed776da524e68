"""A failover loses the rows of changes that Stripe carried out. They are written again from what Stripe shows."""

import pytest
from sqlalchemy import text

from gateway.db.models import PlanChange, Subscription
from gateway.sandbox import Sandbox
from gateway.services.plan_changes.request import write_intent
from gateway.services.reconciliation import drift
from gateway.services.runtime import Caller
from gateway.stripe_api.snapshots import CHANGE_ID_KEY
from schemas.changes import ChangeCommand
from tests.support.api import ApiClient
from tests.support.clock import StripeTime
from tests.support.reconciliation import drop_webhooks
from tests.support.world import World


def change_and_lose(world: World, quantity: int) -> str:
    """Carry out a change at Stripe whose row is lost. Return its id."""
    caller = Caller(organization_id="org_1", actor="ada")
    call = write_intent(world.gateway, caller, ChangeCommand(plan="plus", quantity=quantity), None)
    call.perform(world.stripe)
    with world.gateway.database.transaction() as session:
        session.execute(text("DELETE FROM trials"))
        session.execute(text("DELETE FROM plan_changes WHERE id = :id"), {"id": call.change_id})
        session.execute(text("DELETE FROM procrastinate_jobs WHERE status = 'todo'"))
    return call.change_id


def lost_changes(world: World) -> dict[str, tuple[str, str, int]]:
    return {
        each.id: (each.state, each.to_plan, each.quantity) for each in world.rows(PlanChange) if each.actor == "unknown"
    }


def test_each_lost_change_gets_its_row_from_its_event(world: World, api: ApiClient) -> None:
    first, second = change_and_lose(world, 2), change_and_lose(world, 3)
    world.settle()
    assert lost_changes(world) == {first: ("applied", "plus", 2), second: ("applied", "plus", 3)}
    latest = api.ok("GET", "/subscription/history")["data"][0]
    assert (latest["actor"], latest["cause"]) == (
        {"type": "user", "id": "unknown"},
        {"type": "change", "id": second},
    )
    assert api.ok("GET", f"/subscription/changes/{second}")["state"] == "applied"
    assert api.ok("PATCH", "/subscription", quantity=4)["state"] == "applied"


@pytest.mark.usefixtures("api")
def test_lost_change_without_an_event_is_found_by_the_drift_walk(
    world: World, sandbox: Sandbox, stripe_time: StripeTime
) -> None:
    drop_webhooks(world, sandbox)
    lost = change_and_lose(world, 2)
    stripe_time.ahead += 60
    list(drift.walk(world.gateway))
    assert lost_changes(world) == {lost: ("applied", "plus", 2)}
    assert [each.from_plan for each in world.rows(PlanChange) if each.id == lost] == ["free"]


def test_metadata_of_another_change_restore_nothing(world: World, api: ApiClient) -> None:
    change = api.ok("PATCH", "/subscription", plan="plus")["id"]
    world.api("org_2").ok("POST", "/subscription", plan="free")
    world.settle()
    other = next(each.id for each in world.rows(Subscription) if each.organization_id == "org_2")
    for copied in (change, "no id of ours"):
        world.stripe.v1.subscriptions.update(other, {"metadata": {CHANGE_ID_KEY: copied}})
        world.settle()
    assert lost_changes(world) == {}
    assert {each.id: each.organization_id for each in world.rows(PlanChange)}[change] == "org_1"
