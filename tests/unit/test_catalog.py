"""The catalogue of plans that this deployment sells."""

import pytest

from gateway.catalog import Catalog, CatalogPlan, CatalogPrice, Exposure
from gateway.errors import InvalidRequest

CATALOG = Catalog.load()


def test_plans_are_ordered_from_smallest_to_largest() -> None:
    assert CATALOG.keys == ("free", "plus", "enterprise")


def test_free_has_a_price_of_zero() -> None:
    assert CATALOG.get("free") == CatalogPlan(
        key="free",
        name="Free",
        description="For trying things out.",
        price=CatalogPrice(lookup_key="konnect_free_usd_month", currency="usd", unit_amount=0, interval="month"),
        max_quantity=1,
    )


def test_plus_has_a_price_and_a_maximum_quantity() -> None:
    plus = CATALOG.get("plus")
    assert plus.price == CatalogPrice(
        lookup_key="konnect_plus_usd_month", currency="usd", unit_amount=25000, interval="month"
    )
    assert (plus.name, plus.max_quantity) == ("Plus", 100)
    assert plus.exposure == Exposure(before_payment=250_000, after_payment=2_500_000)


def test_enterprise_has_no_price() -> None:
    assert CATALOG.get("enterprise").price is None


def test_no_two_plans_share_a_key_or_a_lookup_key() -> None:
    lookup_keys = [plan.price.lookup_key for plan in CATALOG.plans if plan.price is not None]
    assert len(set(CATALOG.keys)) == len(CATALOG.plans)
    assert len(set(lookup_keys)) == len(lookup_keys)


@pytest.mark.parametrize("key", ["", "Plus", "gold", "unmapped"])
def test_an_unknown_plan_is_not_found_and_refused(key: str) -> None:
    assert CATALOG.find(key) is None
    with pytest.raises(InvalidRequest):
        CATALOG.get(key)


def test_every_plan_has_a_name_even_unmapped() -> None:
    assert CATALOG.name_of("plus") == "Plus"
    assert CATALOG.name_of("unmapped") == "Unmapped"
