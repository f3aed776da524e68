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
    visitor.follow("Cancel Plan")
    visitor.see("Your trial ends. Each organization has one.")
    assert visitor.page.locator("main").get_by_text("usage").count() == 0
    photograph(visitor, "cancel-trial")


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
    customer, _ = visitor.ids()
    visitor.deployment.stripe.v1.customers.balance_transactions.create(customer, {"amount": -1234, "currency": "usd"})
    eventually(lambda: bool(visitor.details()["paused"] and visitor.details()["ends_at"]))
    eventually(lambda: visitor.details()["credit_balance"] == 1234)
    visitor.open()
    visitor.see("Your plan is scheduled to end")
    visitor.see("$12.34")
    photograph(visitor, "ends-and-paused")


def test_german_views(visitor: Visitor) -> None:
    browser = visitor.page.context.browser
    assert browser is not None
    german = Visitor(visitor.deployment, browser.new_page(locale="de-DE"), visitor.organization)
    german.open()
    photograph(german, "de-new")
    german.open("/plans/plus/details")
    photograph(german, "de-purchase-details")
    german.press("Weiter")
    german.see("Bitte füllen Sie dieses Feld aus.")
    photograph(german, "de-form-fault")
    german.deployment.ok(german.organization, "PATCH", "/subscription", trial=True)
    german.open()
    photograph(german, "de-trial")
    german.deployment.ok(german.organization, "DELETE", "/subscription")
    german.use_card("pm_card_visa")
    german.deployment.ok(german.organization, "PATCH", "/subscription", plan="plus", quantity=5)
    german.use("api_calls", 1_200_000)
    for name in (
        "plans",
        "plans/plus",
        "cancel",
        "payment-methods",
        "payment-methods/new",
        "history",
        "details",
        "sales",
        "usage",
    ):
        german.open(f"/{name}")
        photograph(german, f"de-{name.replace('/', '-')}")
    german.open()
    german.see("wenn sich nichts ändert")
    photograph(german, "de-overview")
    german.move_to_enterprise()
    german.open()
    photograph(german, "de-enterprise")
    german.page.close()
