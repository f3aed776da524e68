"""What late usage costs at a price of Stripe, which another program may have made."""

import pytest
from stripe import Price

from gateway.services.plan_changes.unbilled_usage import price_usage
from tests.support.json_types import Json

TIERS = [
    {"up_to": 10, "unit_amount_decimal": "0", "flat_amount": None},
    {"up_to": None, "unit_amount_decimal": "2.5", "flat_amount": 100},
]


def price(**terms: object) -> Price:
    plain: Json = {
        "id": "price_1",
        "object": "price",
        "currency": "usd",
        "lookup_key": None,
        "recurring": {"interval": "month"},
        "tiers_mode": None,
        "transform_quantity": None,
        "unit_amount_decimal": None,
    }
    return Price.construct_from(plain | terms, "sk_test")


@pytest.mark.parametrize(
    ("terms", "used", "amount"),
    [
        ({"unit_amount_decimal": "0.002"}, 250, 1),
        ({"unit_amount_decimal": "0.002"}, 249, 0),
        ({"tiers": TIERS, "tiers_mode": "graduated"}, 10, 0),
        ({"tiers": TIERS, "tiers_mode": "graduated"}, 14, 110),
        ({"tiers": TIERS, "tiers_mode": "volume"}, 14, 135),
        ({"unit_amount_decimal": "7", "transform_quantity": {"divide_by": 100, "round": "up"}}, 101, 14),
        ({"unit_amount_decimal": "7", "transform_quantity": {"divide_by": 100, "round": "down"}}, 199, 7),
    ],
)
def test_usage_costs_what_stripe_would_charge(terms: Json, used: int, amount: int) -> None:
    assert price_usage(price(**terms), used) == amount
