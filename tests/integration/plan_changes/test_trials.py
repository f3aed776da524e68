"""The trial, which each organization may start once, without a card."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.db.models import Invoice, PlanChange, PlanHistory, Subscription, Trial, UpcomingInvoice
from gateway.services.invoices.upcoming import GRACE, LEAD, calculate_charges
from gateway.services.plan_changes.execute import run_change
from gateway.services.plan_changes.request import record_intent
from schemas.changes import ChangeCommand
from tests.support.accounts import make_customer, show_in_search
from tests.support.api import ApiClient
from tests.support.catalogs import write_catalog
from tests.support.clock import DAY, StripeTime
from tests.support.other_terms import change_at_stripe, create_price, newest_at_stripe
from tests.support.payment_methods import attach
from tests.support.reconciliation import walk_gap
from tests.support.world import CALLER, World

UNAVAILABLE = (409, "trial_unavailable")


@pytest.fixture
def catalog_file(tmp_path: Path) -> Path:
    return write_catalog(tmp_path / "catalog.toml", trial_days=30)


def test_enrolment_without_a_plan_starts_the_trial(world: World) -> None:
    change = world.api().ok("POST", "/subscription")
    details = change["subscription"]
    assert (change["state"], details["plan"], details["status"]) == ("applied", "plus", "trialing")
    assert (details["trial"]["days_left"], details["trial"]["converts"]) == (30, False)
    assert "start_trial" not in details["actions"]
    settings = newest_at_stripe(world).trial_settings
    assert settings is not None
    assert settings.end_behavior.missing_payment_method == "cancel"


def test_floor_plan_keeps_the_trial_for_later(world: World) -> None:
    api = world.api()
    assert "start_trial" in api.ok("GET", "/subscription")["actions"]
    enrolled = api.ok("POST", "/subscription", plan="free")["subscription"]
    assert (enrolled["plan"], enrolled["trial"], "start_trial" in enrolled["actions"]) == ("free", None, True)
    assert api.problem("PATCH", "/subscription", plan="plus") == (402, "payment_method_required")
    assert api.ok("PATCH", "/subscription", plan="plus", trial=True)["subscription"]["status"] == "trialing"
    assert api.ok("GET", "/usage/estimate") == {"estimate": None}
    assert "start_trial" not in api.ok("DELETE", "/subscription")["subscription"]["actions"]
    assert api.problem("PATCH", "/subscription", trial=True) == UNAVAILABLE


def test_only_the_plan_of_the_catalogue_has_a_trial(world: World) -> None:
    api = world.api()
    assert api.problem("POST", "/subscription", plan="free", trial=True) == (422, "invalid_request")
    assert world.rows(Trial) == []


def test_trial_ends_on_the_floor_plan_after_a_week_offline(
    world: World, trial: ApiClient, stripe_time: StripeTime
) -> None:
    world.fault("webhook_dropped", times=1000)
    stripe_time.ahead = 37 * DAY
    assert newest_at_stripe(world).status == "canceled"
    walk_gap(world)
    world.work()
    details = trial.ok("GET", "/subscription")
    assert (details["plan"], details["status"], details["trial"]) == ("free", "active", None)
    assert [each.status for each in world.rows(Subscription)].count("active") == 1
    ends = [(each.actor_type, each.cause) for each in world.rows(PlanHistory)][-1]
    assert ends == ("system", "trial ended")
    assert trial.problem("PATCH", "/subscription", trial=True) == UNAVAILABLE


@pytest.mark.parametrize("attached_before", [True, False])
def test_first_card_converts_the_trial(world: World, stripe_time: StripeTime, attached_before: bool) -> None:
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    if attached_before:
        attach(world)
        world.settle()
    api.ok("PATCH", "/subscription", trial=True)
    if not attached_before:
        attach(world)
    world.settle()
    assert api.ok("GET", "/subscription")["trial"]["converts"]
    quote = api.ok("POST", "/subscription/preview", plan="plus")
    stripe_time.ahead = 31 * DAY
    assert newest_at_stripe(world).status == "active"
    world.settle()
    details = api.ok("GET", "/subscription")
    assert (details["plan"], details["trial"]) == ("plus", None)
    paid = {each.amount_paid for each in world.rows(Invoice)}
    assert quote["amount_due_on_billing_date"] in paid - {0}


def test_only_a_trial_that_converts_shows_the_next_charges(world: World, trial: ApiClient) -> None:
    end = world.plan_row().current_period_end
    assert end is not None
    calculate_charges(replace(world.gateway, clock=lambda: end - LEAD + GRACE))
    world.work()
    assert [each.amount_due for each in world.rows(UpcomingInvoice)] == [25000]

    def shown() -> tuple[bool, bool, bool]:
        details = trial.ok("GET", "/subscription")
        charges, date = details["upcoming_charges"], details["billing_date"]
        return details["trial"]["converts"], charges is not None, date is not None

    assert shown() == (False, False, False)
    trial.add_card(world.stripe)
    world.settle()
    assert shown() == (True, True, True)
    world.stripe.v1.subscriptions.update(newest_at_stripe(world).id, {"cancel_at_period_end": True})
    world.settle()
    assert shown() == (False, False, False)


def test_cancelled_trial_leaves_free_in_place(world: World, trial: ApiClient, stripe_time: StripeTime) -> None:
    quote = trial.ok("POST", "/subscription/preview", plan="free")
    details = trial.ok("DELETE", f"/subscription?quote={quote['token']}")["subscription"]
    assert (details["plan"], details["status"], details["trial"]) == ("free", "active", None)
    stripe_time.ahead = 40 * DAY
    assert newest_at_stripe(world).status == "active"
    world.settle()
    assert world.plan_row().status == "active"
    assert len(world.rows(Subscription)) == 1


def test_change_within_a_trial_keeps_its_end(world: World, trial: ApiClient) -> None:
    ends_at = trial.ok("GET", "/subscription")["trial"]["ends_at"]
    more = trial.ok("PATCH", "/subscription", quantity=3)["subscription"]
    assert (more["quantity"], more["trial"]["ends_at"]) == (3, ends_at)
    assert trial.ok("POST", "/subscription/preview", quantity=4)["amount_due_on_billing_date"] == 100000
    later = int(datetime.fromisoformat(ends_at).timestamp()) + 7 * DAY
    world.stripe.v1.subscriptions.update(newest_at_stripe(world).id, {"trial_end": later})
    world.settle()
    assert trial.ok("GET", "/subscription")["trial"]["days_left"] == 37


def test_trial_that_stripe_refuses_stays_available(world: World) -> None:
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    world.settle()
    world.fault("webhook_dropped", times=1000)
    params: Any = {"collection_method": "send_invoice", "days_until_due": 30}
    world.stripe.v1.subscriptions.update(newest_at_stripe(world).id, params)
    assert api.problem("PATCH", "/subscription", trial=True) == (502, "stripe_rejected")
    assert world.rows(Trial) == []
    world.work()  # the mirror learns that the invoices are sent
    assert "start_trial" not in api.ok("GET", "/subscription")["actions"]


def test_adopted_customer_has_had_its_trial(world: World) -> None:
    show_in_search(world)
    make_customer(world, "org_1")
    assert world.api().ok("POST", "/subscription")["subscription"]["plan"] == "free"
    assert [each.reason for each in world.rows(Trial)] == ["adopted"]


def test_trial_from_the_dashboard_is_the_only_one(world: World) -> None:
    api = world.api()
    api.ok("POST", "/subscription", plan="free")
    params: Any = {"trial_end": int(datetime.now(UTC).timestamp()) + DAY, "proration_behavior": "none"}
    world.stripe.v1.subscriptions.update(newest_at_stripe(world).id, params)
    world.settle()
    assert [each.reason for each in world.rows(Trial)] == ["at_stripe"]
    assert api.problem("PATCH", "/subscription", trial=True) == UNAVAILABLE


def test_repeated_call_begins_the_same_trial(world: World) -> None:
    world.api().ok("POST", "/subscription", plan="free")
    world.fault("webhook_dropped", times=1000)
    first = record_intent(world.gateway, CALLER, ChangeCommand(trial=True))
    frozen: Any = first.perform(world.gateway.stripe).data  # the process dies before it merges the answer
    later = replace(world.gateway, clock=lambda: datetime.now(UTC) + timedelta(hours=1))
    run_change(later, first.change_id)  # Stripe refuses other parameters under the same key
    assert (newest_at_stripe(world).trial_end, world.plan_row().status) == (frozen["trial_end"], "trialing")
    assert [each.state for each in world.rows(PlanChange)][-1] == "applied"


def test_purchase_after_a_left_trial_of_a_year_is_not_charged_at_sign_up(world: World, trial: ApiClient) -> None:
    yearly = create_price(world, unit_amount=250000, recurring={"interval": "year"})
    change_at_stripe(world, items=[{"id": newest_at_stripe(world)["items"].data[0].id, "price": yearly}])
    assert trial.ok("GET", "/subscription")["price"]["interval"] == "year"
    trial.ok("DELETE", "/subscription")
    trial.add_card(world.stripe)
    bought = trial.ok("PATCH", "/subscription", plan="plus")
    world.settle()
    assert (bought["state"], bought["interval"]) == ("applied", "month")
    assert [each.total for each in world.stripe.v1.invoices.list().data if each.total] == []
