"""An organization may owe what the catalogue permits, and less until it has paid."""

from dataclasses import replace

import pytest

from gateway.catalog import CatalogPlan
from gateway.db.models import Subscription
from gateway.errors import ExposureLimit
from gateway.services.plan_table.derive import never_enrolled
from gateway.services.subscription.billing_state import BillingState, UnsettledInvoice
from gateway.services.subscription.exposure import check_change, find_max_quantity
from gateway.services.subscription.policy import find_transition
from gateway.services.subscription.terms import Contract
from tests.support.catalogs import PLAIN_CATALOG

CATALOG = PLAIN_CATALOG
PLUS = CATALOG.get("plus")
NEW = BillingState(
    plan_state=never_enrolled("free"),
    plan_version=1,
    subscription=None,
    duplicates={},
    base_item=None,
    payment_method=None,
    unsettled_invoices=(),
    has_paid=False,
    contract=Contract(currency="usd", interval="month"),
    prices={
        "konnect_plus_usd_month": {
            "id": "price_1",
            "product_id": "konnect_plus",
            "unit_amount": 25000,
            "currency": "usd",
            "interval": "month",
        }
    },
)
PROVEN = replace(NEW, has_paid=True)


def owing(billing: BillingState, amount: int) -> BillingState:
    """Return the state with two unpaid invoices of ``amount`` in all. One is written off."""
    written_off = UnsettledInvoice("in_1", None, "uncollectible", 1)
    return replace(billing, unsettled_invoices=(written_off, UnsettledInvoice("in_2", None, "open", amount - 1)))


@pytest.mark.parametrize(
    ("billing", "possible"),
    [
        (NEW, 10),
        (owing(NEW, 1), 9),
        (owing(NEW, 225_001), 0),
        (owing(NEW, 1_000_000), 0),
        (PROVEN, 100),
        (owing(PROVEN, 2_400_000), 4),
    ],
)
def test_open_invoices_and_one_period_stay_within_the_bound(billing: BillingState, possible: int) -> None:
    assert find_max_quantity(CATALOG, billing, PLUS) == possible


def test_a_year_that_is_paid_by_invoice_may_cost_twelve_times_as_much() -> None:
    [monthly] = PLUS.prices
    yearly = replace(PLUS, prices=(replace(monthly, interval="year", unit_amount=250_000, lookup_key="yearly"),))
    sold = {"id": "price_2", "product_id": "konnect_plus", "unit_amount": 250_000, "currency": "usd"}
    billing = replace(
        NEW,
        contract=Contract(currency="usd", interval="year"),
        prices={"yearly": sold | {"interval": "year"}},
        subscription=Subscription(status="active", collection_method="send_invoice"),
    )
    assert find_max_quantity(CATALOG, billing, yearly) == 12


def test_a_refusal_names_the_possible_quantity() -> None:
    transition = find_transition(CATALOG, "free", PLUS)
    check_change(CATALOG, NEW, transition, PLUS, 10)
    with pytest.raises(
        ExposureLimit, match="At most 10 units of Plus are possible before the first payment"
    ) as refused:
        check_change(CATALOG, NEW, transition, PLUS, 11)
    assert refused.value.members == {"max_quantity": 10}


def test_a_reduction_is_never_refused() -> None:
    debtor = owing(NEW, 1_000_000)
    check_change(CATALOG, debtor, find_transition(CATALOG, "plus", CATALOG.floor), CATALOG.get("free"), 1)
    assert find_max_quantity(CATALOG, debtor, CATALOG.get("free")) == 1


@pytest.mark.parametrize("plan", [replace(PLUS, charge="now"), replace(PLUS, exposure={}), replace(PLUS, prices=())])
def test_a_plan_without_a_bound_has_only_its_own_maximum(plan: CatalogPlan) -> None:
    assert find_max_quantity(CATALOG, owing(NEW, 1_000_000), plan) == 100
