"""Usage of a plan that the gateway learns of late is billed from the second in which Stripe sold the plan."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from gateway.db import jobs
from gateway.db.models import Organization, PlanHistory, UsageEvent, UsageReport
from gateway.services.usage.recount import recount_usage
from tests.support.accounts import make_customer, subscribe
from tests.support.api import ApiClient
from tests.support.clock import StripeTime
from tests.support.database import write_freely
from tests.support.jobs import make_due
from tests.support.usage import counted_usage, report_usage, send_usage, usage_event
from tests.support.world import World

HOUR = 3600
Sell = Callable[..., None]


def ago(minutes: float) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()


@pytest.fixture
def floor(world: World, stripe_time: StripeTime) -> ApiClient:
    """Return a client for an organization that has been on the floor plan for three hours."""
    stripe_time.ahead = -3 * HOUR
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    api.add_card(world.stripe)
    world.settle()
    with world.gateway.database.transaction() as session:
        write_freely(session)
        session.execute(text("UPDATE plan_history SET recorded_at = recorded_at - interval '3 hours'"))
        session.execute(text("UPDATE organization_plans SET as_of = as_of - interval '3 hours'"))
    return api


@pytest.fixture
def sell(world: World, stripe_time: StripeTime, floor: ApiClient) -> Sell:  # noqa: ARG001 - it must have been enrolled
    """Return a function that sells or ends Plus in Stripe's dashboard at some time, without telling the gateway."""

    def sell(plan: str, *, minutes: float) -> None:
        stripe_time.ahead = -minutes * 60
        v1 = world.stripe.v1
        subscription = v1.subscriptions.retrieve(world.plan_row().subscription_id or "")
        prices = {each.lookup_key: each for each in v1.prices.list({"limit": 100}).data}
        base, *metered = subscription.items.data
        items: list[Any] = [{"id": base.id, "price": prices[f"konnect_{plan}_usd_month"].id, "quantity": 1}]
        items += [{"id": each.id, "deleted": True} for each in metered]
        if plan == "plus":
            names = ("api_calls", "portal_services", "logins")
            items += [{"price": prices[f"konnect_plus_{each}_usd_month"].id} for each in names]
        v1.subscriptions.update(subscription.id, {"items": items})

    return sell


def learn(world: World) -> None:
    """Let the webhooks arrive, and the job run that bills earlier usage."""
    world.settle()
    make_due(world, jobs.RECOUNT_USAGE)
    world.settle()


def states(world: World) -> dict[str, str]:
    """Return the state of the report of each event, by the event's id."""
    found = {each.id: each.state for each in world.rows(UsageReport)}
    return {each.id: found[each.report_id] for each in world.rows(UsageEvent)}


def test_usage_since_the_sale_is_billed_and_none_from_before(world: World, stripe_time: StripeTime, sell: Sell) -> None:
    sell("plus", minutes=60)
    for name, minutes in (("long_before", 150), ("before", 61), ("at_once", 59.9), ("after", 30)):
        send_usage(world, usage_event(name, 1 << int(minutes // 30), occurred_at=ago(minutes)))
    assert set(states(world).values()) == {"not_billed"}
    learn(world)
    billed = states(world)
    assert {name for name, state in billed.items() if state != "not_billed"} == {"at_once", "after"}
    send_usage(world, usage_event("later", 64, occurred_at=ago(58)), usage_event("too_early", 99, occurred_at=ago(62)))
    stripe_time.ahead = 0
    report_usage(world)
    assert counted_usage(world) == 2 + 2 + 64
    assert sum(each.quantity for each in world.rows(UsageReport) if each.state == "sent") == 68


def test_mixed_report_is_split_between_the_floor_plan_and_the_sale(
    world: World, stripe_time: StripeTime, sell: Sell
) -> None:
    half_past = (datetime.now(UTC) - timedelta(hours=1)).replace(minute=30, second=0)  # no report crosses an hour
    sold_ago = (datetime.now(UTC) - half_past) / timedelta(minutes=1)
    sell("plus", minutes=sold_ago)
    moments = [sold_ago + each for each in (2, 1, -1, -2)]
    events = [usage_event(f"e{n}", 1 << n, occurred_at=ago(minutes)) for n, minutes in enumerate(moments)]
    last = {"meter": "portal_services"}
    events += [usage_event(f"p{n}", 5 + n, occurred_at=ago(minutes), **last) for n, minutes in enumerate(moments)]
    send_usage(world, *events)
    before = {each.id for each in world.rows(UsageReport)}
    learn(world)
    reports = {(each.meter, each.state == "not_billed"): each for each in world.rows(UsageReport) if each.events}
    billed, unbilled = reports["api_calls", False], reports["api_calls", True]
    assert (billed.quantity, billed.events, unbilled.quantity, unbilled.events) == (4 + 8, 2, 1 + 2, 2)
    assert unbilled.occurred_at < billed.starts_at <= billed.occurred_at
    assert (reports["portal_services", False].quantity, reports["portal_services", True].quantity) == (8, 6)
    assert before & {each.id for each in reports.values()}
    rows = {each.id: vars(each) for each in world.rows(UsageReport)}
    [*_, sold] = world.rows(PlanHistory)
    recount_usage(world.gateway, "org_1", sold.version)
    assert {each.id: vars(each) for each in world.rows(UsageReport)}.keys() == rows.keys()
    stripe_time.ahead = 0
    report_usage(world)
    assert (counted_usage(world), counted_usage(world, "portal_services")) == (12, 8)


def test_report_is_split_for_each_plan_that_is_learned_late(world: World, sell: Sell) -> None:
    start = (datetime.now(UTC) - timedelta(hours=1)).replace(minute=10, second=0)  # no report crosses an hour
    first = (datetime.now(UTC) - start) / timedelta(minutes=1)
    moments = [first - each for each in (-5, 5, 15, 25, 35)]
    send_usage(world, *(usage_event(f"e{n}", 1 << n, occurred_at=ago(minutes)) for n, minutes in enumerate(moments)))
    for plan, later in (("plus", 0), ("free", 10), ("plus", 20), ("free", 30)):
        sell(plan, minutes=first - later)
        world.settle()
    learn(world)
    assert {name for name, state in states(world).items() if state != "not_billed"} == {"e1", "e3"}
    assert sorted(each.quantity for each in world.rows(UsageReport) if each.state != "not_billed") == [2, 8]


def test_usage_after_a_plan_that_has_ended_since_is_not_billed(world: World, sell: Sell) -> None:
    sell("plus", minutes=60)
    for name, minutes in (("before", 61), ("during", 50), ("after", 30)):
        send_usage(world, usage_event(name, occurred_at=ago(minutes)))
    world.settle()
    sell("free", minutes=40)
    learn(world)
    assert {name: state == "not_billed" for name, state in states(world).items()} == {
        "before": True,
        "during": False,
        "after": True,
    }


def test_plan_of_an_unknown_organization_counts_from_when_it_is_known(world: World) -> None:
    send_usage(world, usage_event("before"))
    subscribe(world, make_customer(world, "org_1"), "plus")
    learn(world)
    assert states(world) == {"before": "not_billed"}


def test_usage_after_an_end_that_is_learned_late_is_not_billed(
    world: World, stripe_time: StripeTime, sell: Sell
) -> None:
    sell("plus", minutes=170)
    learn(world)
    send_usage(world, usage_event("during", 100, occurred_at=ago(150)))
    sell("free", minutes=120)
    send_usage(world, usage_event("after", 1000, occurred_at=ago(30)))
    world.settle()
    send_usage(world, usage_event("later", 5000, occurred_at=ago(20)))
    stripe_time.ahead = 0
    report_usage(world)
    world.settle()
    items = world.stripe.v1.invoice_items.list({"customer": customer_of(world), "limit": 100}).data
    assert sum(each.amount for each in items if not each.proration) == 100 * 2


def customer_of(world: World) -> str:
    [organization] = world.rows(Organization)
    return organization.stripe_customer_id or ""
