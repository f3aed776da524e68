"""A subscription whose first invoice is not paid gives no plan, and nothing but a payment changes it."""

import pytest
import stripe

from tests.support.accounts import make_customer, subscribe
from tests.support.clock import DAY, StripeTime
from tests.support.world import World


@pytest.fixture
def incomplete(world: World) -> str:
    """Return the id of a subscription to Plus from another program, whose cardholder has not approved the payment."""
    customer = make_customer(world, "org_1")
    card = world.stripe.v1.payment_methods.attach("pm_card_threeDSecure2Required", {"customer": customer})
    world.stripe.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": card.id}})
    made = subscribe(world, customer, "plus", quantity=2)
    world.settle()
    return made


@pytest.mark.usefixtures("incomplete")
def test_it_can_be_paid_and_not_changed(world: World) -> None:
    api = world.api()
    details = api.ok("GET", "/subscription")
    assert (details["plan"], details["status"]) == ("free", "incomplete")
    assert details["actions"] == ["pay_invoice", "contact_sales"]
    for body in ({"plan": "plus", "quantity": 3}, {"quantity": 1}, {"plan": "free"}):
        assert api.problem("PATCH", "/subscription", **body) == (402, "unpaid_invoice")
    assert api.problem("POST", "/subscription/preview", plan="free") == (402, "unpaid_invoice")
    assert api.problem("DELETE", "/subscription") == (402, "unpaid_invoice")
    api.add_card(world.stripe)
    api.ok("POST", f"/invoices/{details['payment_problem']['invoice']}/pay")
    world.settle()
    assert api.ok("GET", "/subscription")["plan"] == "plus"
    assert api.ok("DELETE", "/subscription")["subscription"]["plan"] == "free"


def test_stripe_refuses_a_change_before_the_first_payment(world: World, incomplete: str) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="incomplete"):
        world.stripe.v1.subscriptions.update(incomplete, {"cancel_at_period_end": True})
    world.stripe.v1.subscriptions.update(incomplete, {"metadata": {"seen": "yes"}})


def test_after_it_has_expired_the_organization_can_buy(world: World, incomplete: str, stripe_time: StripeTime) -> None:
    stripe_time.ahead = DAY
    assert world.stripe.v1.subscriptions.retrieve(incomplete).status == "incomplete_expired"
    world.settle()
    api = world.api()
    details = api.ok("GET", "/subscription")
    assert (details["standing"], details["actions"]) == ("suspended", ["change_plan", "contact_sales"])
    assert api.ok("POST", "/subscription", plan="free")["subscription"]["standing"] == "good"
    api.add_card(world.stripe)
    assert api.ok("PATCH", "/subscription", plan="plus")["state"] == "applied"
