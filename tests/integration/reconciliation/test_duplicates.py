"""Reconciliation names what an organization has twice, and adopts what belongs to no organization yet."""

import pytest

from gateway.sandbox import Sandbox
from gateway.services.reconciliation import drift
from tests.support.accounts import make_customer, price_id, show_in_search, subscribe
from tests.support.api import ApiClient
from tests.support.payment_methods import customer_of
from tests.support.reconciliation import drop_webhooks
from tests.support.world import World

Found = set[tuple[str, str, str]]


def walk(world: World, *, dry_run: bool = False) -> Found:
    """Walk the drift, and return id, cause and resolution of each difference."""
    found = [each for page in drift.walk(world.gateway, dry_run=dry_run) for each in page.differences]
    return {(each.stripe_id, each.cause, each.resolution) for each in found}


@pytest.mark.usefixtures("api")
def test_lower_plans_are_named_and_other_things_are_not(world: World) -> None:
    [enrolled] = [each.id for each in world.stripe.v1.subscriptions.list().data]
    customer = customer_of(world)
    plus, newer = (subscribe(world, customer, "plus") for _ in range(2))
    ended = subscribe(world, customer, "plus")
    world.stripe.v1.subscriptions.cancel(ended)
    coaching = world.stripe.v1.products.create({"name": "Coaching"})
    for _ in range(2):
        subscribe(world, customer, price=price_id(world, coaching.id))
    enterprise = subscribe(world, customer, "enterprise")
    world.settle()
    assert (world.plan_row().plan, world.plan_row().subscription_id) == ("enterprise", enterprise)
    named = {(each, "duplicate_subscription", "not_healed") for each in (enrolled, plus, newer)}
    assert walk(world, dry_run=True) == walk(world) == named


@pytest.mark.usefixtures("api")
def test_other_customers_of_an_organization_are_named(world: World) -> None:
    others = [make_customer(world, "org_1") for _ in range(3)]
    subscribe(world, others[1], "enterprise")
    gone = make_customer(world, "org_1")
    world.stripe.v1.customers.delete(gone)
    world.settle()
    named = {(each, "duplicate_customer", "not_healed") for each in others}
    assert walk(world, dry_run=True) == walk(world) == named
    assert world.plan_row().plan == "free"


def test_unlinked_customer_is_named_and_adopted(world: World, sandbox: Sandbox, api: ApiClient) -> None:
    assert api.ok("GET", "/subscription")["plan"] == "free"
    show_in_search(world)
    drop_webhooks(world, sandbox)
    poor, rich = make_customer(world, "org_7"), make_customer(world, "org_7")
    subscribe(world, rich, "plus", quantity=4)
    unlinked = {(each, "unlinked_customer", "would_heal") for each in (poor, rich)}
    assert walk(world, dry_run=True) == unlinked
    assert walk(world) == {(rich, "unlinked_customer", "healed"), (poor, "duplicate_customer", "not_healed")}
    assert (world.plan_row("org_7").plan, world.plan_row("org_7").quantity) == ("plus", 4)
    world.work()
    assert walk(world) == {(poor, "duplicate_customer", "not_healed")}
