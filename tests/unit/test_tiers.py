"""What a quantity costs at tiered prices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog import CatalogPrice, Tier, TiersMode


def tiered(mode: TiersMode) -> CatalogPrice:
    tiers = (Tier(up_to=10, unit_amount=400), Tier(up_to=20, unit_amount=300, flat_amount=50), Tier(unit_amount=100))
    return CatalogPrice(lookup_key="key", currency="usd", interval="month", tiers=tiers, tiers_mode=mode)


@pytest.mark.parametrize(
    ("mode", "quantity", "amount"),
    [
        ("graduated", 10, 4000),
        ("graduated", 11, 4350),
        ("graduated", 21, 7150),
        ("volume", 10, 4000),
        ("volume", 11, 3350),
        ("volume", 21, 2100),
    ],
)
def test_tiers_add_up(mode: TiersMode, quantity: int, amount: int) -> None:
    assert tiered(mode).compute_amount(quantity) == amount


@given(st.sampled_from(["graduated", "volume"]), st.integers(0, 9000), st.integers(1, 40))
def test_no_quantity_up_to_the_possible_one_costs_more(mode: TiersMode, amount: int, most: int) -> None:
    price = tiered(mode)
    possible = price.find_quantity(amount, most)
    assert all(price.compute_amount(each) <= amount for each in range(1, possible + 1))
    assert possible == most or price.compute_amount(possible + 1) > amount
