"""The Overview says what is true in states that other programs and sales bring about."""

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
