"""A customer that another program made for an organization becomes the organization's own customer."""

from typing import Any

import pytest

from gateway.db.models import Invoice, PaymentMethod, PlanHistory, Subscription, WebhookEvent
from gateway.services.customers.customer import ensure_customer
from gateway.services.customers.existing import search_customer
from gateway.services.runtime import Caller
from tests.support.accounts import make_customer, price_id, show_in_search, subscribe
from tests.support.existing_account import list_links
from tests.support.wait import eventually
from tests.support.world import World

NOT_OURS = ["", "it's", "a b", "back\\slash", "org_1' OR metadata['x']:'y", "o" * 300]


@pytest.fixture(autouse=True)
def search(world: World) -> None:
    show_in_search(world)


def lose_webhooks(world: World) -> None:
    world.fault("webhook_dropped", times=1000)


def plan(world: World, organization_id: str = "org_1") -> tuple[str, int]:
    details = world.api(organization_id).ok("GET", "/subscription")
    return details["plan"], details["quantity"]


def test_first_request_adopts_what_stripe_has(world: World) -> None:
    lose_webhooks(world)
    customer = make_customer(world, "org_1")
    made = subscribe(world, customer, "plus", quantity=3)
    assert plan(world) == ("free", 1)  # a read never calls Stripe
    world.work()
    assert plan(world) == ("plus", 3)
    assert list_links(world) == {"org_1": customer}
    assert [each.id for each in world.rows(Subscription)] == [made]
    assert len(world.rows(PaymentMethod)) == len(world.rows(Invoice)) == 1
    assert [each.cause for each in world.rows(PlanHistory)] == ["adopted"]


def test_reads_search_only_once(world: World) -> None:
    world.fault("delay", method="GET", path="/v1/customers/search", seconds=0.01, times=1000)
    for _ in range(3):
        plan(world)
    world.work()
    plan(world)
    world.work()
    assert world.faults()[-1]["fired"] == 1


@pytest.mark.parametrize("name", NOT_OURS)
def test_name_of_no_organization_is_ignored(world: World, name: str) -> None:
    subscribe(world, make_customer(world, name), "plus")
    world.settle()
    assert list_links(world) == {}
    assert search_customer(world.gateway, "org_1") is None


def test_webhook_of_a_customer_adopts_an_unknown_organization(world: World) -> None:
    customer = make_customer(world, "")
    made = subscribe(world, customer, "enterprise")
    world.settle()
    assert list_links(world) == {}
    world.stripe.v1.customers.update(customer, {"metadata": {"organization_id": "org_9"}})
    world.settle()
    assert list_links(world) == {"org_9": customer}
    assert plan(world, "org_9") == ("enterprise", 1)
    assert [each.id for each in world.rows(Subscription)] == [made]
    assert [each.cause for each in world.rows(PlanHistory)] == ["adopted"]


def test_second_customer_never_takes_over(world: World) -> None:
    world.api().ok("POST", "/subscription", plan="free")
    world.settle()
    first = list_links(world)["org_1"]
    second = make_customer(world, "org_1")
    subscribe(world, second, "enterprise")
    world.settle()
    assert list_links(world) == {"org_1": first}
    assert plan(world) == ("free", 1)


def test_renaming_a_linked_customer_moves_nothing(world: World) -> None:
    world.api().ok("POST", "/subscription", plan="free")
    customer = list_links(world)["org_1"] or ""
    world.stripe.v1.customers.update(customer, {"metadata": {"organization_id": "org_2"}})
    world.settle()
    assert list_links(world) == {"org_1": customer}
    world.api("org_2").ok("POST", "/subscription", plan="free")
    assert list_links(world)["org_2"] not in (None, customer)


def test_deleted_customer_makes_no_organization(world: World) -> None:
    lose_webhooks(world)
    customer = make_customer(world, "org_9")
    world.end_faults()
    world.stripe.v1.customers.delete(customer)
    eventually(lambda: [each.type for each in world.rows(WebhookEvent)] == ["customer.deleted"])
    world.work()
    assert list_links(world) == {}


@pytest.mark.parametrize("requested", ["free", "plus"])
def test_enrolment_over_an_unseen_plan_is_refused(world: World, requested: str) -> None:
    lose_webhooks(world)
    customer = make_customer(world, "org_1")
    made = subscribe(world, customer, "plus", quantity=5)
    assert world.api().problem("POST", "/subscription", plan=requested) == (409, "quote_stale")
    assert plan(world) == ("plus", 5)
    assert [each.id for each in world.stripe.v1.subscriptions.list().data] == [made]
    assert len(world.stripe.v1.customers.list().data) == 1


def test_enrolment_uses_the_customer_that_stripe_has(world: World) -> None:
    lose_webhooks(world)
    customer = make_customer(world, "org_1")
    coaching: Any = world.stripe.v1.products.create({"name": "Coaching"})
    subscribe(world, customer, price=price_id(world, coaching.id))
    assert world.api().ok("POST", "/subscription", plan="free")["state"] == "applied"
    assert list_links(world) == {"org_1": customer}
    assert len(world.stripe.v1.subscriptions.list({"customer": customer}).data) == 2


def test_the_subscribed_customer_is_chosen_then_the_oldest(world: World) -> None:
    lose_webhooks(world)
    first, second, third = (make_customer(world, "org_1") for _ in range(3))
    assert search_customer(world.gateway, "org_1") in (first, second, third)
    subscribe(world, second, "plus")
    assert ensure_customer(world.gateway, Caller(organization_id="org_1", actor="test")) == second


def test_credit_before_the_first_subscription_is_shown_in_its_currency(world: World) -> None:
    customer = make_customer(world, "org_1")
    world.stripe.v1.customers.balance_transactions.create(customer, {"amount": -5000, "currency": "eur"})
    world.settle()
    shown = world.api().ok("GET", "/subscription")
    assert (shown["status"], shown["credit_balance"], shown["currency"]) == ("none", 5000, "eur")
