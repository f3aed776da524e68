"""A change that must be paid before it takes effect is refused with its cause if Stripe cannot hold it back."""

from collections.abc import Callable

import pytest

from gateway.db.models import PlanChange
from tests.support.api import ApiClient, problem_of
from tests.support.payment_methods import attach, charged, customer_of, subscription_of
from tests.support.plans import charge_plus
from tests.support.world import World

NOT_IMMEDIATE = (409, "no_immediate_charge")


@pytest.fixture
def api(world: World, cardless: ApiClient) -> ApiClient:
    """Return a client for an organization on Free, where Plus is charged now."""
    charge_plus(world)
    return cardless


def debit(world: World, api: ApiClient) -> None:
    """Pay by bank debit, which takes days."""
    api.add_card(world.stripe, "pm_usBankAccount")


def debit_on_the_subscription(world: World, api: ApiClient) -> None:
    """Let the subscription name a bank debit, although the customer has a card."""
    api.add_card(world.stripe)
    method = attach(world, "pm_sepaDebit")
    world.stripe.v1.subscriptions.update(subscription_of(world), {"default_payment_method": method})


def paid_by_invoice(world: World, api: ApiClient) -> None:
    """Let Stripe send the invoices instead of charging them."""
    api.add_card(world.stripe)
    world.stripe.v1.subscriptions.update(
        subscription_of(world), {"collection_method": "send_invoice", "days_until_due": 30}
    )


OBSTACLES = [
    (debit, "takes days to pay"),
    (debit_on_the_subscription, "SEPA Direct Debit •••• 3000 takes days to pay"),
    (paid_by_invoice, "paid by invoice"),
]


@pytest.mark.parametrize(("arrange", "cause"), OBSTACLES)
def test_upgrade_that_cannot_be_paid_first_names_the_cause(
    world: World, api: ApiClient, arrange: Callable[[World, ApiClient], None], cause: str
) -> None:
    arrange(world, api)
    world.settle()
    answer = api("PATCH", "/subscription", plan="plus")
    assert problem_of(answer) == NOT_IMMEDIATE
    assert cause in answer.get_json()["detail"]
    assert (len(world.rows(PlanChange)), world.plan_row().plan) == (1, "free")  # the enrolment alone


@pytest.mark.parametrize("arrange", [each for each, _ in OBSTACLES])
def test_plan_that_cannot_be_charged_now_can_be_left(
    world: World, api: ApiClient, arrange: Callable[[World, ApiClient], None]
) -> None:
    api.add_card(world.stripe)
    api.ok("PATCH", "/subscription", plan="plus")
    arrange(world, api)
    world.settle()
    assert api.problem("PATCH", "/subscription", quantity=2) == NOT_IMMEDIATE
    assert api.ok("DELETE", "/subscription")["state"] == "applied"


def test_quote_agrees_for_a_subscription_paid_by_invoice(world: World, api: ApiClient) -> None:
    api.add_card(world.stripe)
    api.ok("PATCH", "/subscription", plan="plus", quantity=2)
    paid_by_invoice(world, api)
    world.settle()
    assert api.problem("POST", "/subscription/preview", quantity=3) == NOT_IMMEDIATE
    quote = api.ok("POST", "/subscription/preview", quantity=1)
    assert api.ok("PATCH", "/subscription", quote=quote["token"])["state"] == "applied"


def test_link_pays_immediately(world: World, api: ApiClient) -> None:
    link = world.stripe.v1.payment_methods.create({"type": "link", "billing_details": {"email": "a@example.com"}}).id
    world.stripe.v1.payment_methods.attach(link, {"customer": customer_of(world)})
    api.ok("PUT", "/payment-methods/default", payment_method=link)
    assert api.ok("PATCH", "/subscription", plan="plus")["state"] == "applied"
    assert charged(world) == link


def test_card_in_place_of_a_bank_debit_pays_immediately(world: World, api: ApiClient) -> None:
    debit_on_the_subscription(world, api)
    world.settle()
    assert api.problem("PATCH", "/subscription", plan="plus") == NOT_IMMEDIATE
    api.add_card(world.stripe, "pm_card_mastercard")
    assert api.ok("PATCH", "/subscription", plan="plus")["state"] == "applied"
