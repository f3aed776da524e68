"""Cancel plan with several subscriptions to plans, and plans beside subscriptions to other things."""

from datetime import timedelta
from typing import Any

import pytest

from gateway.db import jobs
from gateway.db.models import PlanChange
from gateway.services.plan_changes.execute import finish_change
from tests.support.accounts import metered_price, price_id, subscribe
from tests.support.api import ApiClient
from tests.support.clock import StripeTime
from tests.support.jobs import make_due
from tests.support.payment_methods import customer_of
from tests.support.world import World


@pytest.fixture
def customer(world: World, api: ApiClient) -> str:
    """Return the customer of an organization on Plus."""
    api.ok("PATCH", "/subscription", plan="plus")
    world.settle()
    return customer_of(world)


def running(world: World) -> dict[str, list[str]]:
    """Return the products of each running subscription at Stripe, by its id."""
    found: Any = world.stripe.v1.subscriptions.list({"limit": 100}).to_dict()["data"]
    return {each["id"]: [item["price"]["product"] for item in each["items"]["data"]] for each in found}


def coach(world: World, customer: str, **more: Any) -> str:
    """Sell a subscription to something that is no plan, and return its id."""
    product = world.stripe.v1.products.create({"name": "Coaching"})
    return subscribe(world, customer, price=price_id(world, product.id), **more)


@pytest.mark.parametrize("others", [1, 2])
def test_other_things_neither_hide_nor_block_a_plan(world: World, api: ApiClient, customer: str, others: int) -> None:
    bought = [coach(world, customer) for _ in range(others)]
    world.settle()
    assert api.ok("GET", "/subscription")["plan"] == "plus"
    assert api.ok("PATCH", "/subscription", quantity=2)["subscription"]["quantity"] == 2
    assert api.ok("DELETE", "/subscription")["subscription"]["plan"] == "free"
    assert running(world).keys() >= set(bought)


@pytest.mark.parametrize("lost", [None, "response_lost", "error_before"])
def test_cancel_plan_ends_all_plans(
    world: World, stripe_time: StripeTime, api: ApiClient, customer: str, lost: str | None
) -> None:
    [enrolled] = running(world)
    stripe_time.ahead = 1  # of two that Stripe created in one second, neither is the newer one
    for plan in ("plus", "plus", "free"):
        subscribe(world, customer, plan)
    coaching = coach(world, customer)
    world.settle()
    assert world.plan_row().plan == "plus"
    if lost is not None:
        world.fault(lost, method="DELETE", path="/v1/subscriptions/*", skip=1)
    first = api("DELETE", "/subscription").get_json()
    for _ in range(2):
        finish_change(world.gateway, first["id"])
    world.settle()
    assert [each.state for each in world.rows(PlanChange)][-1] == "applied"
    left = running(world)
    assert left.pop(coaching)
    assert [*left.values()] == [["konnect_free"]]
    assert enrolled not in left  # the newest one of the same plan counts
    assert api.ok("GET", "/subscription")["plan"] == "free"
    assert api.problem("DELETE", "/subscription") == (409, "no_change")


def test_a_duplicate_that_sales_sold_is_left_to_sales(world: World, api: ApiClient, customer: str) -> None:
    sold = subscribe(world, customer, "enterprise")
    world.settle()
    assert api.ok("GET", "/subscription")["plan"] == "enterprise"
    assert api.problem("DELETE", "/subscription") == (409, "contact_sales_required")
    assert sold in running(world)


def test_overage_price_of_the_plan_belongs_to_it(world: World, api: ApiClient, customer: str) -> None:
    [subscription] = running(world)
    for _ in range(2):
        world.stripe.v1.subscription_items.create(
            {"subscription": subscription, "price": metered_price(world, "konnect_plus")}
        )
    world.settle()
    assert api.ok("GET", "/subscription")["plan"] == "plus"
    assert api.ok("PATCH", "/subscription", quantity=3)["subscription"]["quantity"] == 3
    assert len(running(world)[subscription]) == 3
    assert api.ok("DELETE", "/subscription")["subscription"]["plan"] == "free"
    assert running(world) == {subscription: ["konnect_free"]}
    assert customer


def test_quote_adds_up_all_that_cancel_plan_ends(
    world: World, api: ApiClient, customer: str, stripe_time: StripeTime
) -> None:
    for _ in range(2):
        subscribe(world, customer, "plus")
    world.settle()
    quote = api.ok("POST", "/subscription/preview", plan="free")
    assert (quote["estimate"], 49_000 < -quote["subtotal"] <= 50_000) == (
        True,
        True,
    )  # the first one was not billed yet
    due = quote["amount_due_now"] + quote["amount_due_on_billing_date"]
    assert quote["subtotal"] + quote["discounts"] + quote["taxes"] + quote["balance"] == due
    api.ok("DELETE", "/subscription")
    stripe_time.ahead = timedelta(hours=2).total_seconds()  # Stripe writes the negative final invoices off
    world.settle()
    make_due(world, jobs.WITHDRAW_CREDITS)
    world.settle()
    balance = world.stripe.v1.customers.retrieve(customer).balance or 0
    pending = sum(item.amount for item in world.stripe.v1.invoice_items.list({"customer": customer, "pending": True}))
    assert -balance - pending == pytest.approx(-quote["subtotal"], abs=100)


def test_unpaid_duplicate_is_owed_for_its_used_time(
    world: World, api: ApiClient, customer: str, stripe_time: StripeTime
) -> None:
    unpaid = subscribe(world, customer, "plus", collection_method="send_invoice", days_until_due=30)
    invoice = str(world.stripe.v1.subscriptions.retrieve(unpaid).latest_invoice)
    world.stripe.v1.invoices.finalize_invoice(invoice)
    stripe_time.ahead = 2  # the newest one counts
    subscribe(world, customer, "plus")
    world.settle()
    assert world.plan_row().subscription_id != unpaid
    api.ok("DELETE", "/subscription")
    world.settle()  # it may be the subscription's third state of one second
    assert world.plan_row().plan == "free"
    stripe_time.ahead = timedelta(hours=2).total_seconds()  # Stripe writes the negative final invoice off
    world.settle()
    make_due(world, jobs.WITHDRAW_CREDITS)
    world.settle()
    items: Any = world.stripe.v1.invoice_items.list({"customer": customer, "limit": 100}).to_dict()["data"]
    assert [each for each in items if each["metadata"].get("credited_invoice") == invoice] == []
    assert 0 <= world.stripe.v1.invoices.retrieve(invoice).amount_remaining < 1000
