"""An operator moves the end of a running trial, once and never to begin one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.db.models import BillingIntent, Grant, PlanHistory, Trial
from gateway.errors import Conflict, InvalidRequest, StripeUnavailable
from gateway.services.grants import add_grant, end_due_grants, end_grant
from gateway.services.plan_changes.longer_trial import extend_trial
from gateway.services.plan_table.rebuild import rebuild_plan_table
from gateway.services.rate_limits.stripe_budget import Budget
from gateway.stripe_api import client
from tests.support.api import ApiClient
from tests.support.billing_operations import finish, in_flight
from tests.support.catalogs import write_catalog
from tests.support.clock import DAY, StripeTime
from tests.support.other_terms import at_stripe
from tests.support.world import World

UNTIL = datetime.now(UTC).replace(microsecond=0) + timedelta(days=50)


@pytest.fixture
def catalog_file(tmp_path: Path) -> Path:
    return write_catalog(tmp_path / "catalog.toml", trial_days=30)


def extend(world: World, until: datetime = UNTIL) -> Grant:
    return extend_trial(world.gateway, "org_1", until=until, reason="Vacation", operator="ada")


def test_a_longer_trial_is_granted_once_and_recorded(world: World, trial: ApiClient) -> None:
    before = len(world.rows(PlanHistory))
    grant = extend(world)
    world.settle()
    assert at_stripe(world).trial_end == UNTIL.timestamp()
    details = trial.ok("GET", "/subscription")
    assert (details["plan"], details["grant"]) == ("plus", None)
    assert datetime.fromisoformat(details["trial"]["ends_at"]) == UNTIL
    [entry] = world.rows(PlanHistory)[before:]
    assert (entry.actor_type, entry.actor, entry.cause) == ("operator", "ada", grant.id)
    assert (extend(world).id, len(world.rows(Grant))) == (grant.id, 1)
    assert list(rebuild_plan_table(world.gateway, write=False)) == []


@pytest.mark.usefixtures("trial")
@pytest.mark.parametrize("webhook_first", [True, False])
def test_an_extension_whose_answer_is_lost_is_completed(
    world: World, monkeypatch: pytest.MonkeyPatch, webhook_first: bool
) -> None:
    monkeypatch.setattr(client, "MAX_NETWORK_RETRIES", 0)
    config, gate = world.gateway.config, world.gateway.gate
    budget = Budget(world.gateway.database, config.stripe_calls_per_second)
    stripe = client.stripe_client(config.stripe_secret_key, config.stripe_api_base, budget, gate)
    world.fault("response_lost", method="POST", path="/v1/subscriptions/*")
    with pytest.raises(StripeUnavailable):
        extend_trial(replace(world.gateway, stripe=stripe), "org_1", until=UNTIL, reason="Vacation", operator="ada")
    if webhook_first:
        world.settle()
    [grant] = world.rows(Grant)
    [intent] = world.rows(BillingIntent)
    finish(world, intent.id)
    assert (in_flight(world), world.rows(Grant)[0].ended_at) == ([], None)
    assert world.plan_row().current_period_end == UNTIL
    latest = world.rows(PlanHistory)[-1]
    assert (latest.actor, latest.cause) == ("ada", grant.id)


def test_another_extension_replaces_the_first(world: World, trial: ApiClient) -> None:
    first, second = extend(world), extend(world, UNTIL - timedelta(days=9))
    ended = {each.id: each.ended_by for each in world.rows(Grant)}
    assert ended == {first.id: "ada", second.id: None}
    assert datetime.fromisoformat(trial.ok("GET", "/subscription")["trial"]["ends_at"]) == second.until


def test_an_extension_ends_with_its_trial(world: World, trial: ApiClient) -> None:
    extension = extend(world)
    until = UNTIL + timedelta(days=1)
    add_grant(world.gateway, "org_1", "plus", until=until, reason="Beta", operator="ada")
    assert end_due_grants(world.gateway) == 0
    trial.ok("DELETE", "/subscription")
    end_grant(world.gateway, "org_1", "bob")
    assert trial.ok("GET", "/subscription")["plan"] == "free"
    assert end_due_grants(world.gateway) == 1
    assert {each.id: each.ended_by for each in world.rows(Grant)}[extension.id] is None
    assert end_due_grants(replace(world.gateway, clock=lambda: until)) == 0


def test_an_extension_never_begins_a_trial(world: World, stripe_time: StripeTime) -> None:
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    with pytest.raises(Conflict):
        extend(world)
    api.add_card(world.stripe)
    api.ok("PATCH", "/subscription", trial=True)
    world.settle()
    with pytest.raises(InvalidRequest):
        extend(world, datetime.now(UTC) - timedelta(days=1))
    world.fault("webhook_dropped", times=1000)
    stripe_time.ahead = 31 * DAY
    with pytest.raises(Conflict):
        extend(world, UNTIL)
    assert at_stripe(world).status == "active"
    assert ([each.ended_by for each in world.rows(Grant)], in_flight(world)) == ([None], [])
    assert world.rows(Grant)[0].ended_at is not None
    assert len(world.rows(Trial)) == 1
