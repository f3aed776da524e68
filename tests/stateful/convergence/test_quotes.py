"""The quote is the charge. For all prices, quantities and times, Stripe charges exactly the quoted amount.

The test reads Stripe's state through the SDK, without the gateway. All changes of an example are in one billing period.
"""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.catalog import Charge
from tests.stateful.convergence.shop import Move, QuotingShop
from tests.stateful.convergence.stepped_gateway import SteppedGateway
from tests.support.clock import DAY

AMOUNTS = st.one_of(st.integers(0, 999_999), st.sampled_from([0, 1, 49, 50, 333, 25_000, 999_999]))
MOVES = st.builds(
    Move,
    quantity=st.integers(0, 100),
    price=st.none() | AMOUNTS,
    before=st.sampled_from([0, 0, 1]) | st.integers(0, 6 * DAY),
    thinking=st.sampled_from([0, 0, 1]) | st.integers(0, 14 * 60),
)

IN_ONE_SECOND = [Move(quantity=each, price=None, before=0, thinking=0) for each in (3, 5, 2, 0, 1)]


TERMS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {
            "percent_off": st.sampled_from([0, 7, 33, 100]),
            "amount_off": st.sampled_from([0, 1, 700]),
            "tax": st.sampled_from([0.0, 7.0, 8.875, 19.0]),
            "tax_included": st.booleans(),
        }
    ),
)
EVERYTHING = {"percent_off": 33, "amount_off": 700, "tax": 8.875}


@settings(
    max_examples=int(os.environ.get("STATEFUL_EXAMPLES", "6")),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(currency="usd", charge="on_billing_date", price=25_000, terms={}, moves=IN_ONE_SECOND)
@example(currency="usd", charge="now", price=25_000, terms={}, moves=IN_ONE_SECOND)
@example(currency="usd", charge="on_billing_date", price=25_000, terms=EVERYTHING, moves=IN_ONE_SECOND)
@example(currency="usd", charge="now", price=25_000, terms=EVERYTHING | {"tax_included": True}, moves=IN_ONE_SECOND)
@given(
    currency=st.sampled_from(["usd", "jpy"]),
    charge=st.sampled_from(["on_billing_date", "now"]),
    price=AMOUNTS,
    terms=TERMS,
    moves=st.lists(MOVES, min_size=1, max_size=4),
)
def test_stripe_charges_what_was_quoted(
    database_url: str, currency: str, charge: Charge, price: int, terms: dict[str, Any], moves: list[Move]
) -> None:
    stage = SteppedGateway(database_url)
    try:
        shop = QuotingShop(stage, currency, charge, price, **terms)
        for move in moves:
            shop.make(move)
        shop.check_all()
    finally:
        stage.close()


@pytest.mark.parametrize("charge", ["on_billing_date", "now"])
def test_a_pending_item_is_quoted_once(database_url: str, charge: Charge) -> None:
    stage = SteppedGateway(database_url)
    try:
        shop = QuotingShop(stage, "usd", charge, 25_000)
        stage.account.v1.invoice_items.create(
            {"customer": shop.customer, "subscription": shop.subscription, "amount": 700, "currency": "usd"}
        )
        shop.make(Move(quantity=3, price=None, before=DAY, thinking=60))
        shop.make(Move(quantity=1, price=None, before=DAY, thinking=60))
    finally:
        stage.close()
