"""Someone edits a subscription at Stripe between a plan change's intent and its call."""

from typing import Any

import pytest

from gateway.db.models import PlanChange, Subscription
from gateway.services.plan_changes.execute import finish_change
from gateway.services.plan_changes.request import write_intent
from gateway.services.quotes.token import Terms, read_token
from schemas.changes import ChangeCommand
from schemas.subscription import CHANGE_ERRORS
from tests.support.accounts import subscribe
from tests.support.api import ApiClient
from tests.support.other_terms import at_stripe
from tests.support.payment_methods import customer_of
from tests.support.world import CALLER, World


def die_after_the_intent(world: World, command: ChangeCommand) -> str:
    """Store only the change's intent, like a process that dies right after that. Return the change's id."""
    terms: Terms | None = None
    if command.quote is not None:
        terms = read_token(world.gateway.config, command.quote, world.gateway.clock())
    return write_intent(world.gateway, CALLER, command, terms).change_id


def finish(world: World, change_id: str) -> PlanChange:
    """Run the change's job, process the events and return the change."""
    finish_change(world.gateway, change_id)
    world.settle()
    [change] = [each for each in world.rows(PlanChange) if each.id == change_id]
    return change


def add_item(world: World) -> None:
    """Add an item that is billed each month, as sales does."""
    product = world.stripe.v1.products.create({"name": "Support"})
    price = world.stripe.v1.prices.create(
        {"currency": "usd", "unit_amount": 50_00, "recurring": {"interval": "month"}, "product": product.id}
    )
    world.stripe.v1.subscription_items.create({"subscription": at_stripe(world).id, "price": price.id})


def amounts(world: World) -> list[int | None]:
    """Return the monthly price of each item."""
    return [item.price.unit_amount for item in at_stripe(world)["items"].data]


def test_item_added_by_sales_does_not_stay_beside_free(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    change_id = die_after_the_intent(world, ChangeCommand(plan="free"))
    add_item(world)
    assert finish(world, change_id).state == "applied"
    assert amounts(world) == [0]


@pytest.mark.usefixtures("api")
def test_replaced_item_is_moved_in_its_current_form(world: World) -> None:
    change_id = die_after_the_intent(world, ChangeCommand(plan="plus"))
    subscription = at_stripe(world)
    [item] = subscription["items"].data
    add_item(world)
    world.stripe.v1.subscription_items.delete(item.id)
    world.stripe.v1.subscription_items.create({"subscription": subscription.id, "price": item.price.id})
    assert finish(world, change_id).state == "applied"
    assert world.plan_row().plan == "plus"


@pytest.mark.usefixtures("api")
def test_ended_subscription_is_replaced_by_one_on_the_new_plan(world: World) -> None:
    change_id = die_after_the_intent(world, ChangeCommand(plan="plus"))
    ended = at_stripe(world)
    world.stripe.v1.subscriptions.cancel(ended.id)
    assert finish(world, change_id).state == "applied"
    assert (at_stripe(world).id != ended.id, world.plan_row().plan) == (True, "plus")


def test_a_quote_of_other_items_is_not_charged(world: World, api: ApiClient) -> None:
    quote = api.ok("POST", "/subscription/preview", plan="plus")
    change_id = die_after_the_intent(world, ChangeCommand(quote=quote["token"]))
    add_item(world)
    before = amounts(world)
    change = finish(world, change_id)
    assert (change.state, (change.error or {})["code"]) == ("failed", "quote_stale")
    assert amounts(world) == before


def test_quote_of_an_ended_subscription_creates_no_new_one(world: World, api: ApiClient) -> None:
    quote = api.ok("POST", "/subscription/preview", plan="plus")
    change_id = die_after_the_intent(world, ChangeCommand(quote=quote["token"]))
    world.stripe.v1.subscriptions.cancel(at_stripe(world).id)
    assert finish(world, change_id).state == "failed"
    assert len(world.rows(Subscription)) == 1


def enterprise_price(world: World) -> str:
    """Create a price of the plan that only sales can sell."""
    [product] = [each.id for each in world.stripe.v1.products.list().data if each.name == "Enterprise"]
    return world.stripe.v1.prices.create(
        {"currency": "usd", "unit_amount": 900_00, "recurring": {"interval": "month"}, "product": product}
    ).id


@pytest.mark.parametrize("plan", ["free", "plus"])
def test_enterprise_set_by_sales_before_enrolment_is_kept(world: World, plan: str) -> None:
    api = world.api()
    api.add_card(world.stripe)
    customer = customer_of(world)
    price = enterprise_price(world)
    world.settle()
    world.fault("webhook_dropped", event="customer.subscription.created")
    world.stripe.v1.subscriptions.create({"customer": customer, "items": [{"price": price, "quantity": 7}]})
    assert api.problem("POST", "/subscription", plan=plan) == (409, "contact_sales_required")
    details = api.ok("GET", "/subscription")
    assert (details["plan"], details["quantity"], details["pending_change"]) == ("enterprise", 7, None)
    [entry] = api.ok("GET", "/subscription/history")["data"]
    assert entry["actor"]["type"] == "system"


@pytest.mark.usefixtures("api")
def test_enterprise_set_by_sales_after_the_intent_is_kept(world: World) -> None:
    change_id = die_after_the_intent(world, ChangeCommand(plan="plus"))
    [item] = at_stripe(world)["items"].data
    world.stripe.v1.subscription_items.update(item.id, {"price": enterprise_price(world), "quantity": 7})
    change = finish(world, change_id)
    assert (change.state, (change.error or {})["code"]) == ("failed", "contact_sales_required")
    assert (world.plan_row().plan, world.plan_row().quantity) == ("enterprise", 7)


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"payment_behavior": "default_incomplete"}, "unpaid_invoice"),
        ({"billing_mode": {"type": "classic"}}, "classic_billing_mode"),
    ],
)
@pytest.mark.usefixtures("api")
def test_subscription_that_cannot_be_changed_ends_the_change(world: World, terms: dict[str, Any], code: str) -> None:
    change_id = die_after_the_intent(world, ChangeCommand(plan="plus", quantity=3))
    customer = customer_of(world)
    world.stripe.v1.subscriptions.cancel(at_stripe(world).id)
    subscribe(world, customer, **terms)
    world.settle()
    change = finish(world, change_id)
    assert (change.state, (change.error or {})["code"]) == ("failed", code)
    assert code in CHANGE_ERRORS
