"""The quantity of the subscription follows the level that a service reports."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
from sqlalchemy import text

from gateway.db.models import PaymentMethod, PlanChange, PlanHistory, UsageLevel
from gateway.services.levels.follow import follow_levels
from gateway.services.operations.status import load_status
from tests.support.accounts import make_customer, subscribe
from tests.support.api import ApiClient
from tests.support.clock import StripeTime
from tests.support.plans import charge_plus
from tests.support.wait import eventually
from tests.support.world import World


def report(world: World, value: int) -> None:
    body = {"organization_id": "org_1", "meter": "services", "value": value}
    assert world.api(scopes=("usage:write",)).ok("PUT", "/usage/levels", **body) == body


def follow(world: World, *, hours: float = 0) -> int:
    """Let the worker follow the levels, so many hours later, and return the quantity."""
    later = datetime.now(UTC) + timedelta(hours=hours)
    follow_levels(replace(world.gateway, clock=lambda: later), Event())
    return world.plan_row().quantity


def end_period(world: World) -> None:
    """Let the period end in nine minutes, until the next merge shows its real end."""
    with world.gateway.database.transaction() as session:
        session.execute(text("UPDATE organization_plans SET current_period_end = now() + interval '9 minutes'"))


def waits(world: World) -> bool:
    [level] = world.rows(UsageLevel)
    return level.due_at is not None


@pytest.mark.usefixtures("plus")
def test_burst_of_levels_is_one_change_and_the_last_wins(world: World) -> None:
    report(world, 3)
    assert follow(world) == 3
    for value in (4, 9, 5):
        report(world, value)
    assert (follow(world), waits(world)) == (3, True)
    assert (follow(world, hours=8), waits(world)) == (5, False)
    changes = world.rows(PlanChange)
    assert [each.actor for each in changes].count("usage") == 2
    assert world.api().ok("GET", "/subscription/history")["data"][0]["actor"] == {"type": "usage", "id": None}
    report(world, 0)
    assert follow(world, hours=17) == 1


def test_waiting_level_is_applied_before_a_quote_and_kept_for_it(world: World, plus: ApiClient) -> None:
    report(world, 3)
    follow(world)
    report(world, 5)
    quote = plus.ok("POST", "/subscription/preview", plan="free")
    assert world.plan_row().quantity == 5
    report(world, 7)
    assert follow(world, hours=0.1) == 5
    assert plus.ok("PATCH", "/subscription", quote=quote["token"])["state"] == "applied"
    assert (follow(world, hours=1), waits(world)) == (1, False)


def test_more_quotes_do_not_delay_a_waiting_level(world: World, plus: ApiClient) -> None:
    report(world, 1)
    follow(world)
    plus.ok("POST", "/subscription/preview", plan="free")
    report(world, 5)
    [first] = world.rows(UsageLevel)
    plus.ok("POST", "/subscription/preview", plan="free")
    assert plus.problem("POST", "/subscription/preview", plan="plus") == (409, "no_change")
    [waiting] = world.rows(UsageLevel)
    assert first.quoted_until is not None
    assert (waiting.quoted_until, waits(world)) == (first.quoted_until, True)
    assert (follow(world, hours=0.2), follow(world, hours=0.3)) == (1, 5)


def test_waiting_level_is_applied_before_a_downgrade(world: World, plus: ApiClient) -> None:
    report(world, 3)
    follow(world)
    report(world, 5)
    plus.ok("DELETE", "/subscription")
    assert [each.after["quantity"] for each in world.rows(PlanHistory)][-3:] == [3, 5, 1]


def test_estimate_contains_a_waiting_level(world: World, plus: ApiClient) -> None:
    report(world, 2)
    follow(world)
    report(world, 4)
    estimate = plus.ok("GET", "/usage/estimate")["estimate"]
    assert (estimate["base"], world.plan_row().quantity) == (4 * 25000, 2)
    assert follow(world, hours=9) == 4
    applied = plus.ok("GET", "/usage/estimate")["estimate"]
    assert applied["base"] == 4 * 25000
    assert abs(applied["due"] - estimate["due"]) <= 2  # some seconds lie between the two


def test_estimate_contains_no_level_that_an_overdue_invoice_holds_up(world: World, stripe_time: StripeTime) -> None:
    customer = make_customer(world, "org_1")
    sold = subscribe(world, customer, "plus", collection_method="send_invoice", days_until_due=1)
    stripe_time.ahead = timedelta(days=2).total_seconds()
    world.stripe.v1.subscriptions.retrieve(sold)
    world.settle()
    report(world, 5)
    assert world.api().ok("GET", "/usage/estimate")["estimate"]["base"] == 25000


@pytest.mark.usefixtures("plus")
def test_waiting_level_is_applied_before_the_period_ends(world: World) -> None:
    report(world, 2)
    follow(world)
    report(world, 4)
    assert follow(world) == 2
    end_period(world)
    assert follow(world) == 4
    report(world, 50)  # more than the exposure allows, so the level goes on waiting
    end_period(world)
    assert follow(world) == 10
    end_period(world)
    assert (follow(world), waits(world)) == (10, True)


def test_user_cannot_choose_a_reported_quantity(world: World, plus: ApiClient) -> None:
    report(world, 3)
    follow(world)
    assert plus.problem("PATCH", "/subscription", quantity=2) == (409, "quantity_follows_usage")
    assert plus.problem("POST", "/subscription/preview", quantity=2) == (409, "quantity_follows_usage")


def test_upgrade_buys_the_level_as_far_as_the_exposure_allows(world: World, api: ApiClient) -> None:
    report(world, 12)
    assert (follow(world), waits(world)) == (1, False)
    assert api.ok("PATCH", "/subscription", plan="plus")["quantity"] == 10
    assert waits(world)


def obstacle(world: World) -> str | None:
    """Return why the quantity stays below the level, and check that the status counts it."""
    [level] = world.rows(UsageLevel)
    assert load_status(world.gateway).unfollowed_levels == ({level.obstacle: 1} if level.obstacle else {})
    return level.obstacle


@pytest.mark.usefixtures("plus")
def test_units_in_use_are_billed_also_without_a_card(world: World) -> None:
    for card in world.rows(PaymentMethod):
        world.stripe.v1.payment_methods.detach(card.id)
    world.settle()
    report(world, 5)
    assert (follow(world), obstacle(world)) == (5, None)


@pytest.mark.usefixtures("plus")
def test_level_above_the_exposure_is_counted_until_it_is_followed(world: World) -> None:
    report(world, 50)
    assert (follow(world), follow(world, hours=1), obstacle(world)) == (10, 10, "exposure_limit")
    report(world, 4)
    assert (follow(world, hours=20), obstacle(world)) == (4, None)


def test_refused_reduction_is_not_counted(world: World, plus: ApiClient) -> None:
    plus.ok("PATCH", "/subscription", quantity=8)
    schedules = world.stripe.v1.subscription_schedules  # only sales changes what a schedule controls
    schedules.create({"from_subscription": world.plan_row().subscription_id or ""})
    world.settle()
    report(world, 6)
    assert (follow(world, hours=1), obstacle(world)) == (8, None)


def test_quote_holds_while_a_level_waits_for_something_else(world: World, plus: ApiClient) -> None:
    report(world, 50)
    assert (follow(world), follow(world, hours=1), obstacle(world)) == (10, 10, "exposure_limit")
    quote = plus.ok("POST", "/subscription/preview", plan="free")
    report(world, 4)
    assert plus.ok("PATCH", "/subscription", quote=quote["token"])["state"] == "applied"


def test_increase_that_is_charged_now_needs_a_card_that_can_be_charged(world: World, plus: ApiClient) -> None:
    charge_plus(world)
    plus.add_card(world.stripe, "pm_card_chargeCustomerFail")
    report(world, 9)
    assert (follow(world, hours=1), obstacle(world)) == (1, "card_declined")
    plus.add_card(world.stripe)
    assert (follow(world, hours=10), obstacle(world)) == (9, None)


@pytest.mark.usefixtures("plus")
def test_level_above_what_the_catalogue_allows_is_counted(world: World) -> None:
    charge_plus(world)
    report(world, 250)
    assert (follow(world, hours=1), follow(world, hours=2), obstacle(world)) == (100, 100, "max_quantity")


def test_user_waits_for_a_change_that_follows_a_level(world: World, plus: ApiClient) -> None:
    report(world, 3)
    world.fault("delay", method="POST", path="/v1/subscriptions/*", seconds=0.5)
    with ThreadPoolExecutor(1) as threads:
        following = threads.submit(follow, world)
        eventually(lambda: [each.state for each in world.rows(PlanChange) if each.actor == "usage"] == ["requested"])
        assert plus.ok("DELETE", "/subscription")["state"] == "applied"
        following.result()
    assert [each.state for each in world.rows(PlanChange) if each.actor == "usage"] == ["applied"]


def test_changes_of_levels_do_not_use_up_a_users_limit(world: World, plus: ApiClient) -> None:
    with world.gateway.database.transaction() as session:
        session.execute(
            text(
                "INSERT INTO plan_changes (id, organization_id, state, actor, from_plan, to_plan, quantity, created_at,"
                " ended_at) SELECT 'chg_' || n, 'org_1', 'applied', 'usage', 'plus', 'plus', 1, now(), now()"
                " FROM generate_series(1, 30) AS n"
            )
        )
    assert plus.ok("PATCH", "/subscription", quantity=2)["state"] == "applied"


def test_level_of_something_that_no_plan_counts_is_refused(world: World) -> None:
    body = {"organization_id": "org_1", "meter": "seats", "value": 1}
    assert world.api(scopes=("usage:write",)).problem("PUT", "/usage/levels", **body) == (422, "invalid_request")


def test_level_raises_a_plan_whose_sent_invoice_is_not_due(world: World, stripe_time: StripeTime) -> None:
    customer = make_customer(world, "org_1")
    sold = subscribe(world, customer, "plus", collection_method="send_invoice", days_until_due=30)
    stripe_time.ahead = timedelta(hours=2).total_seconds()
    invoice = str(world.stripe.v1.subscriptions.retrieve(sold).latest_invoice)
    world.settle()
    assert world.stripe.v1.invoices.retrieve(invoice).status == "open"
    report(world, 5)
    assert (follow(world), waits(world)) == (5, False)


def test_level_above_the_limit_of_the_plan_lowers_what_sales_sold(world: World) -> None:
    subscribe(world, make_customer(world, "org_1"), quantity=150)
    world.settle()
    report(world, 140)
    assert (follow(world), waits(world)) == (140, False)
