"""The Overview says what is true in states that other programs and sales bring about."""

from typing import Any

from gateway.stripe_api.snapshots import ORGANIZATION_ID_KEY
from tests.support.screenshots import photograph
from tests.support.visitor import Visitor
from tests.support.wait import eventually


def test_credit_of_an_organization_without_a_subscription_is_shown(visitor: Visitor) -> None:
    visitor.details()
    stripe = visitor.deployment.stripe.v1
    customer = stripe.customers.create({"metadata": {ORGANIZATION_ID_KEY: visitor.organization}})
    stripe.customers.balance_transactions.create(customer.id, {"amount": -5000, "currency": "eur"})
    eventually(lambda: visitor.details()["credit_balance"] == 5000)
    visitor.open()
    visitor.see("€50.00")
    photograph(visitor, "new-with-credit")


def test_view_that_breaks_says_so_and_is_tried_again(visitor: Visitor, errors: list[str]) -> None:
    visitor.page.route("**/v1/plans", lambda route: route.fulfill(json={}), times=1)
    visitor.open()
    visitor.see("Something went wrong on our side.")
    assert len(errors) == 1
    errors.clear()
    visitor.press("Try again")
    visitor.see("Try Plus for free")


def test_trial_with_a_scheduled_end_is_not_said_to_continue(visitor: Visitor) -> None:
    visitor.deployment.ok(visitor.organization, "POST", "/subscription")
    visitor.use_card("pm_card_visa")
    visitor.deployment.stripe.v1.subscriptions.update(visitor.ids()[1], {"cancel_at_period_end": True})
    eventually(lambda: visitor.details()["ends_at"] is not None)
    visitor.open()
    visitor.see("your organization moves to Free, because Plus is scheduled to end. Nothing is charged.")
    visitor.see("None for now")
    for untrue in ("is charged on each billing date", "then $250.00 per month"):
        assert visitor.page.get_by_text(untrue).count() == 0
    photograph(visitor, "trial-with-end")


def test_trial_before_a_scheduled_end_shows_both_dates(visitor: Visitor) -> None:
    visitor.deployment.ok(visitor.organization, "POST", "/subscription")
    visitor.use_card("pm_card_visa")
    stripe, (_, subscription) = visitor.deployment.stripe.v1, visitor.ids()
    later = (stripe.subscriptions.retrieve(subscription).trial_end or 0) + 3600
    stripe.subscriptions.update(subscription, {"cancel_at": later})
    eventually(lambda: visitor.details()["ends_at"] is not None)
    visitor.open()
    visitor.see("the trial ends and Plus continues")
    visitor.see("Your plan is scheduled to end")


def test_trial_from_sales_without_a_card_names_no_card(visitor: Visitor) -> None:
    visitor.subscribe()
    stripe, (customer, subscription) = visitor.deployment.stripe.v1, visitor.ids()
    later = int(visitor.deployment.gateway.clock().timestamp()) + 86_400
    stripe.subscriptions.update(subscription, {"trial_end": later, "proration_behavior": "none"})
    stripe.payment_methods.detach(stripe.customers.payment_methods.list(customer).data[0].id)
    eventually(lambda: bool(visitor.details()["trial"] and not visitor.details()["payment_method"]))
    visitor.open()
    visitor.see("the trial ends and Plus continues. From then on, it is billed on each billing date.")


def test_paused_subscription_is_not_called_unpaid(visitor: Visitor) -> None:
    visitor.subscribe()
    visitor.deployment.stripe.v1.subscriptions.pause(visitor.ids()[1], {"type": "subscription"})
    eventually(lambda: visitor.details()["status"] == "paused")
    visitor.open()
    visitor.see("Your subscription is paused. Your organization is limited to Free until our sales team resumes it.")
    visitor.see("You are subscribed to Plus: 1 service at $250.00 per month. You cannot use it for now.")
    for untrue in ("We could not collect", "until it is paid", "once its invoice is paid"):
        assert visitor.page.get_by_text(untrue).count() == 0
    photograph(visitor, "paused-subscription")


def test_own_prices_are_shown_as_they_are_agreed(visitor: Visitor) -> None:
    visitor.subscribe()
    stripe, (_, subscription) = visitor.deployment.stripe.v1, visitor.ids()
    changed: list[Any] = []
    for item in stripe.subscriptions.retrieve(subscription).items.data:
        recurring: Any = {"interval": "month"}
        if item.price.recurring is not None and item.price.recurring.usage_type == "metered":
            recurring |= {"usage_type": "metered", "meter": item.price.recurring.meter}
        terms: Any = {"product": item.price.product, "currency": "usd", "unit_amount_decimal": "19900.5"}
        changed.append({"id": item.id, "price": stripe.prices.create(terms | {"recurring": recurring}).id})
    stripe.subscriptions.update(subscription, {"items": changed})
    eventually(lambda: visitor.details()["price"]["unit_amount"] is None)
    visitor.open()
    visitor.see("1 service at $199.005 per month")
    visitor.go("/plans", "Change your plan")
    tile = visitor.page.locator(".tile.current").inner_text()
    assert ("$199.005" in tile, "API calls: By agreement" in tile, "per million" in tile) == (True, True, False)
    photograph(visitor, "plans-own-prices")
    visitor.use("api_calls", 5)
    visitor.open("/usage")
    visitor.see("By agreement")
    assert visitor.page.get_by_text("per million").count() == 0
