"""The taxes on top of an invoice's lines, as a share that is added to amounts and taken from totals."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.services.quotes.held_credits import net_amount
from gateway.services.quotes.lines import TaxShare

PLUS, SUPPORT = "price_plus", "price_support"
AMOUNTS = st.integers(0, 10**9)


def billed(price: str, amount: int, tax: int, *, discount: int = 0, behavior: str = "exclusive") -> dict[str, Any]:
    return {
        "amount": amount,
        "pricing": {"price_details": {"price": price, "product": "prod_1"}},
        "discount_amounts": [{"amount": discount, "discount": "di_1"}],
        "taxes": [{"amount": tax, "tax_behavior": behavior}],
    }


def test_share_counts_the_lines_of_the_prices_alone() -> None:
    lines = [
        billed(PLUS, 1000, 152, discount=200),
        billed(PLUS, -500, -95),
        billed(SUPPORT, 700, 49),
    ]
    assert TaxShare.of(lines, {PLUS}) == TaxShare(net=800, tax=152)


@pytest.mark.parametrize("lines", [[], [billed(PLUS, 1000, 160, behavior="inclusive")]])
def test_nothing_is_added_where_no_tax_comes_on_top(lines: list[dict[str, Any]]) -> None:
    share = TaxShare.of(lines, {PLUS})
    assert (share.add_to(500), share.take_from(500)) == (500, 500)


@given(net=st.integers(1, 10**9), percent=st.integers(0, 30), amount=AMOUNTS, total=AMOUNTS)
def test_taxes_are_taken_off_as_they_are_added(net: int, percent: int, amount: int, total: int) -> None:
    share = TaxShare(net=net, tax=net * percent // 100)
    assert share.take_from(share.add_to(amount)) == amount
    taken = share.take_from(total)
    assert share.add_to(taken) <= total < share.add_to(taken + 1)


@pytest.mark.parametrize(("net", "counted"), [(None, -500), (-400, -400)])
def test_credit_counts_what_itemized_discounts_leave(net: int | None, counted: int) -> None:
    assert net_amount({"amount": -500, "net_amount": net}) == counted
