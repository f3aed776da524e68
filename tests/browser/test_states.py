"""The states that no other test of this folder meets, each with a screenshot. Axe finds nothing in it."""

import pytest

from tests.support.screenshots import photograph
from tests.support.visitor import Visitor
from tests.support.wait import eventually

pytestmark = pytest.mark.long


def test_states_before_the_first_plan(visitor: Visitor) -> None:
    visitor.page.route("**/v1/**", lambda _: None)  # no answer comes
    visitor.page.goto(f"http://127.0.0.1:{visitor.deployment.port}/billing#token={visitor.token()}")
    visitor.page.locator("[data-title]:not(:empty)").wait_for()
    photograph(visitor, "loading")
    visitor.page.unroute("**/v1/**")
    visitor.page.reload()
    visitor.heading("Your plan").wait_for()
    photograph(visitor, "new")
    visitor.open(scopes=())
    visitor.see("An administrator can give it to you.")
    photograph(visitor, "forbidden")
    visitor.open("/payment-methods")
    photograph(visitor, "methods-empty")
    visitor.go("/history", "Billing history")
    photograph(visitor, "history-empty")
    visitor.go("/usage", "Usage")
    photograph(visitor, "usage-empty")
    visitor.go("/plans/plus/details", "Upgrade to Plus")
    photograph(visitor, "purchase-details")


def test_views_of_a_plan(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.open()
    for view, heading, name in (
        ("/payment-methods", "Payment methods", "methods"),
        ("/payment-methods/new", "Add a payment method", "card"),
        ("/history", "Billing history", "history"),
        ("/details", "Billing details", "details"),
        ("/sales", "Contact Sales", "sales"),
    ):
        visitor.go(view, heading)
        photograph(visitor, name)
    visitor.press("Send")
    visitor.page.locator(".fault").wait_for()
    photograph(visitor, "form-fault")


def test_trial_with_a_card(visitor: Visitor) -> None:
    visitor.open()
    visitor.press("Try Plus for free")
    visitor.see("Your trial of Plus ends in 30 days")
    visitor.use_card("pm_card_visa")
    visitor.open()
    visitor.see("the trial ends and Plus continues")
    photograph(visitor, "trial-with-card")


def test_plans_of_enterprise(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.move_to_enterprise()
    visitor.open("/plans")
    photograph(visitor, "enterprise-plans")


def test_scheduled_end_and_pause(visitor: Visitor) -> None:
    visitor.subscribe()
    _, subscription = visitor.ids()
    subscriptions = visitor.deployment.stripe.v1.subscriptions
    subscriptions.update(subscription, {"cancel_at_period_end": True})
    subscriptions.update(subscription, {"pause_collection": {"behavior": "keep_as_draft"}})
    eventually(lambda: bool(visitor.details()["paused"] and visitor.details()["ends_at"]))
    visitor.open()
    visitor.see("Your plan is scheduled to end")
    photograph(visitor, "ends-and-paused")
