"""Currencies with no decimals or three, and each currency's minimum charge."""

from decimal import Decimal

import pytest
import stripe

from gateway.sandbox import currencies
from tests.support.clock import MONTH, ManualClock
from tests.support.stripe_account import StripeAccount


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("1000", "usd", "$10.00"),
        ("123456789", "usd", "$1,234,567.89"),
        ("3.6", "usd", "$0.036"),
        ("0.000000000001", "usd", "$0.00000000000001"),
        ("0", "usd", "$0.00"),
        ("500", "jpy", "¥500"),
        ("1200", "jpy", "¥1,200"),
        ("0.5", "jpy", "¥0.5"),
        ("1500", "kwd", "KWD 1.500"),
        ("1000", "chf", "CHF 10.00"),
        ("1000", "cad", "CA$10.00"),
        ("1000", "ugx", "UGX 10.00"),
    ],
)
def test_amount_is_shown_with_its_currencys_decimals(amount: str, currency: str, shown: str) -> None:
    assert currencies.money(Decimal(amount), currency) == shown


@pytest.mark.parametrize("currency", ["zzz", "dollar", "us", "usd,"])
def test_unknown_currency_is_refused(account: StripeAccount, currency: str) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=f"Invalid currency: {currency}. Stripe currently") as refused:
        account.price(100, currency=currency)
    assert refused.value.param == "currency"
    customer = account.customer(card=None).id
    with pytest.raises(stripe.InvalidRequestError, match="Invalid currency"):
        account.v1.invoice_items.create({"customer": customer, "amount": 5, "currency": currency})


def test_uppercase_currency_code_is_stored_in_lowercase(account: StripeAccount) -> None:
    assert account.price(100, currency="JPY").currency == "jpy"


@pytest.mark.parametrize(
    ("currency", "description"),
    [("jpy", "1 × Plus (at ¥3,000 / month)"), ("kwd", "1 × Plus (at KWD 3.000 / month)")],  # noqa: RUF001 - Stripe's sign
)
def test_invoice_line_shows_the_price_in_its_currency(account: StripeAccount, currency: str, description: str) -> None:
    subscription = account.subscribe(account.customer().id, account.price(3000, currency=currency).id)
    invoice = account.invoice(subscription)
    assert [(line.amount, line.description) for line in invoice.lines.data] == [(3000, description)]
    assert (invoice.currency, invoice.amount_paid) == (currency, 3000)


@pytest.mark.parametrize(
    ("currency", "least", "less"),
    [("usd", 50, 49), ("jpy", 50, 49), ("gbp", 30, 29), ("huf", 17500, 17499), ("kwd", 500, 490), ("pen", 50, 49)],
)
def test_amount_below_the_minimum_charge_goes_to_the_balance(
    account: StripeAccount, currency: str, least: int, less: int
) -> None:
    customer = account.customer()
    carried = account.invoice(account.subscribe(customer.id, account.price(less, currency=currency).id))
    assert (carried.status, carried.amount_due, carried.ending_balance) == ("paid", 0, less)
    assert account.v1.customers.retrieve(customer.id).balance == less

    other = account.customer()
    charged = account.invoice(account.subscribe(other.id, account.price(least, currency=currency).id))
    assert (charged.amount_paid, charged.ending_balance) == (least, 0)


@pytest.mark.parametrize(("currency", "amounts"), [("usd", [-667, 1333]), ("jpy", [-667, 1333]), ("kwd", [-670, 1330])])
def test_proration_in_dinars_is_rounded_to_tens(
    account: StripeAccount, clock: ManualClock, currency: str, amounts: list[int]
) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer.id, account.price(1000, currency=currency).id)
    clock.now += MONTH // 3
    account.swap(subscription, account.price(2000, currency=currency).id)
    assert [row.amount for row in account.pending(customer.id)] == amounts
