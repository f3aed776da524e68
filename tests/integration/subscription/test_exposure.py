"""A new organization gets few units until Stripe has received its money."""

from dataclasses import replace

import pytest

from gateway.errors import ExposureLimit
from gateway.services.plan_changes.request import change_plan
from gateway.services.quotes.preview import quote_change
from gateway.services.runtime import Gateway
from schemas.changes import ChangeCommand
from tests.support.api import ApiClient
from tests.support.catalogs import PLAIN_CATALOG
from tests.support.other_terms import at_stripe, change_at_stripe, create_price
from tests.support.world import CALLER, World


@pytest.fixture
def gateway(world: World, api: ApiClient) -> Gateway:
    """Return a gateway with the shipped catalogue. The organization is on Free with a card."""
    assert api.ok("GET", "/subscription")["plan"] == "free"
    return replace(world.gateway, catalog=PLAIN_CATALOG)


def bill(world: World, *, pay: bool) -> None:
    """Bill one dollar at Stripe."""
    customer = world.stripe.v1.customers.list().data[0].id
    world.stripe.v1.invoice_items.create({"customer": customer, "amount": 100, "currency": "usd"})
    made = world.stripe.v1.invoices.create({"customer": customer, "pending_invoice_items_behavior": "include"})
    invoice = world.stripe.v1.invoices.finalize_invoice(made.id, {"auto_advance": False})
    if pay:
        world.stripe.v1.invoices.pay(invoice.id)
    else:
        world.stripe.v1.invoices.mark_uncollectible(invoice.id)
    world.settle()


def possible(gateway: Gateway) -> int:
    """Return what a preview says."""
    return quote_change(gateway, CALLER, "plus", 100).max_quantity


def test_a_payment_raises_the_limit(world: World, gateway: Gateway) -> None:
    assert possible(gateway) == 10
    with pytest.raises(ExposureLimit) as refused:
        change_plan(gateway, CALLER, ChangeCommand(plan="plus", quantity=11))
    assert refused.value.members == {"max_quantity": 10}
    assert change_plan(gateway, CALLER, ChangeCommand(plan="plus", quantity=10)).state == "applied"
    bill(world, pay=True)
    assert possible(gateway) == 100
    assert change_plan(gateway, CALLER, ChangeCommand(quantity=100)).state == "applied"


def test_a_debt_that_was_written_off_lowers_it(world: World, gateway: Gateway) -> None:
    bill(world, pay=False)
    assert possible(gateway) == 9


def test_a_reduction_is_possible_beyond_it(world: World, gateway: Gateway) -> None:
    generous = replace(gateway, catalog=world.gateway.catalog)
    assert change_plan(generous, CALLER, ChangeCommand(plan="plus", quantity=19)).state == "applied"
    with pytest.raises(ExposureLimit):
        change_plan(gateway, CALLER, ChangeCommand(quantity=20))
    assert change_plan(gateway, CALLER, ChangeCommand(quantity=18)).state == "applied"


def test_an_enrolment_has_the_same_limit(world: World, gateway: Gateway) -> None:
    other = replace(CALLER, organization_id="org_2")
    with pytest.raises(ExposureLimit):
        change_plan(gateway, other, ChangeCommand(plan="plus", quantity=100, enroll=True))
    assert len(world.stripe.v1.customers.list().data) == 1


def test_an_own_price_with_a_fraction_of_a_cent_counts(world: World, gateway: Gateway) -> None:
    [item] = at_stripe(world)["items"].data
    price = create_price(world, unit_amount_decimal="12499.5")
    change_at_stripe(world, items=[{"id": item.id, "price": price}])
    assert possible(gateway) == 20
