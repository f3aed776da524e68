"""Amounts are shown to the last minor unit."""

import pytest

from gateway.services.customers.amounts import format_amount


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (1250, "usd", "USD 12.50"),
        (-5, "eur", "EUR -0.05"),
        (1234567, "jpy", "JPY 1,234,567"),
        (1234567, "kwd", "KWD 1,234.567"),
        (9007199254740993, "usd", "USD 90,071,992,547,409.93"),  # a float rounds it
    ],
)
def test_amount_is_shown_exactly(amount: int, currency: str, shown: str) -> None:
    assert format_amount(amount, currency) == shown
