"""Taxes on invoices, from tax rates and from automatic tax."""

from typing import Any

import pytest
import requests
import stripe

from gateway.sandbox import Sandbox
from tests.support.clock import MONTH, START, ManualClock
from tests.support.json_types import Json
from tests.support.stripe_account import StripeAccount, plain

ON: Json = {"automatic_tax": {"enabled": True}}


def rate(account: StripeAccount, percentage: float, *, inclusive: bool = False) -> str:
    params: Any = {"display_name": "VAT", "percentage": percentage, "inclusive": inclusive}
    return account.v1.tax_rates.create(params).id


def taxes(invoice: stripe.Invoice) -> list[tuple[int, int, str]]:
    return [(row["amount"], row["taxable_amount"], row["tax_behavior"]) for row in plain(invoice)["total_taxes"]]


def sums(invoice: stripe.Invoice) -> tuple[int, int | None, int, int | None]:
    return (invoice.subtotal, invoice.subtotal_excluding_tax, invoice.total, invoice.total_excluding_tax)


def in_country(account: StripeAccount, country: str) -> str:
    customer = account.customer().id
    account.v1.customers.update(customer, {"address": {"country": country}})
    return customer


@pytest.mark.parametrize(
    ("inclusive", "expected", "tax"),
    [
        (False, (1000, 1000, 1190, 1000), (190, 1000, "exclusive")),
        (True, (1000, 840, 1000, 840), (160, 840, "inclusive")),
    ],
)
def test_tax_rate_taxes_the_subscription(
    account: StripeAccount, customer: str, *, inclusive: bool, expected: tuple[int, ...], tax: tuple[int, int, str]
) -> None:
    rates = [rate(account, 19, inclusive=inclusive)]
    subscription = account.subscribe(customer, account.price(1000).id, default_tax_rates=rates)
    invoice = account.invoice(subscription)
    assert (sums(invoice), invoice.amount_paid) == (expected, expected[2])
    assert taxes(invoice) == [tax]
    assert [found.id for found in subscription.default_tax_rates or []] == rates
    assert plain(invoice)["lines"]["data"][0]["taxes"][0]["tax_rate_details"] == {"tax_rate": rates[0]}


def test_tax_is_charged_on_what_discounts_leave(account: StripeAccount, customer: str) -> None:
    half = account.v1.coupons.create({"percent_off": 50, "duration": "forever"}).id
    terms: Json = {"default_tax_rates": [rate(account, 10)], "discounts": [{"coupon": half}]}
    invoice = account.invoice(account.subscribe(customer, account.price(1000).id, **terms))
    assert (sums(invoice), taxes(invoice)) == ((1000, 1000, 550, 500), [(50, 500, "exclusive")])


def test_rates_of_an_item_replace_those_of_the_subscription(account: StripeAccount, customer: str) -> None:
    items: Any = [{"price": account.price(1000).id, "tax_rates": [rate(account, 7)]}, {"price": account.price(2000).id}]
    subscription = account.v1.subscriptions.create(
        {"customer": customer, "items": items, "default_tax_rates": [rate(account, 19)]}
    )
    invoice = account.invoice(subscription)
    assert sorted(taxes(invoice)) == [(70, 1000, "exclusive"), (380, 2000, "exclusive")]


def test_half_cents_of_tax_round_down_on_each_line(account: StripeAccount, customer: str) -> None:
    items: Any = [{"price": account.price(amount).id} for amount in (150, 350)]
    params: Any = {"customer": customer, "items": items, "default_tax_rates": [rate(account, 1)]}
    invoice = account.invoice(account.v1.subscriptions.create(params))
    assert taxes(invoice) == [(1 + 3, 500, "exclusive")]


@pytest.mark.parametrize("level", ["subscription", "item"])
def test_prorations_are_taxed_as_quoted(account: StripeAccount, customer: str, clock: ManualClock, level: str) -> None:
    rates = [rate(account, 10)]
    items = [{"price": account.price(1000).id} | ({"tax_rates": rates} if level == "item" else {})]
    params: Any = {"customer": customer, "items": items}
    subscription = account.v1.subscriptions.create(
        params | ({"default_tax_rates": rates} if level == "subscription" else {})
    )
    clock.now = START + MONTH // 2
    dear = account.price(3000).id
    details: Any = {
        "items": [{"id": subscription.items.data[0].id, "price": dear}],
        "proration_behavior": "always_invoice",
    }
    quoted = account.v1.invoices.create_preview({"subscription": subscription.id, "subscription_details": details})
    charged = account.invoice(account.swap(subscription, dear, proration_behavior="always_invoice"))
    assert sums(quoted) == sums(charged) == (1000, 1000, 1100, 1000)
    assert sorted(line.taxes[0].amount for line in charged.lines.data if line.taxes) == [-50, 150]


def test_manual_invoice_is_taxed_by_its_rates(account: StripeAccount, customer: str) -> None:
    items: Any = account.v1.invoice_items
    items.create({"customer": customer, "amount": 1000, "currency": "usd"})
    items.create({"customer": customer, "amount": 500, "currency": "usd", "tax_rates": [rate(account, 20)]})
    params: Any = {"customer": customer, "pending_invoice_items_behavior": "include"}
    invoice = account.v1.invoices.create(params | {"default_tax_rates": [rate(account, 10)]})
    assert (invoice.subtotal, invoice.total) == (1500, 1700)
    cleared = account.v1.invoices.update(str(invoice.id), {"default_tax_rates": ""})
    assert (cleared.total, account.v1.invoices.pay(str(invoice.id)).amount_paid) == (1600, 1600)


@pytest.mark.parametrize(("status", "reason"), [("exempt", "customer_exempt"), ("reverse", "reverse_charge")])
def test_exempt_customer_pays_no_tax(account: StripeAccount, customer: str, status: Any, reason: str) -> None:
    account.v1.customers.update(customer, {"tax_exempt": status})
    subscription = account.subscribe(customer, account.price(1000).id, default_tax_rates=[rate(account, 19)])
    invoice = account.invoice(subscription)
    (tax,) = plain(invoice)["total_taxes"]
    assert (invoice.total, tax["amount"], tax["taxability_reason"]) == (1000, 0, reason)


@pytest.mark.parametrize(
    ("country", "total", "reason"), [("DE", 1190, "standard_rated"), ("US", 1000, "not_collecting")]
)
def test_automatic_tax_depends_on_the_country(account: StripeAccount, country: str, total: int, reason: str) -> None:
    subscription = account.subscribe(in_country(account, country), account.price(1000).id, **ON)
    invoice = account.invoice(subscription)
    assert (invoice.total, invoice.automatic_tax.status) == (total, "complete")
    assert plain(invoice)["total_taxes"][0]["taxability_reason"] == reason
    assert subscription.automatic_tax.enabled


def test_automatic_tax_is_within_an_inclusive_price(account: StripeAccount) -> None:
    price = account.price(1190, tax_behavior="inclusive").id
    invoice = account.invoice(account.subscribe(in_country(account, "DE"), price, **ON))
    assert sums(invoice) == (1190, 1000, 1190, 1000)


def test_percentages_of_automatic_tax_are_a_setting(account: StripeAccount, sandbox: Sandbox) -> None:
    url = f"{sandbox.url}/_sandbox/settings"
    assert requests.post(url, json={"tax_percentages": {"FR": 5.5}}, timeout=5).json()["tax_percentages"] == {"FR": 5.5}
    assert account.invoice(account.subscribe(in_country(account, "FR"), account.price(1000).id, **ON)).total == 1055
    assert requests.post(url, json={"tax_percentages": {"FR": -1}}, timeout=5).status_code == 400


def test_automatic_tax_needs_an_address(account: StripeAccount, customer: str) -> None:
    price = account.price(1000).id
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.subscribe(customer, price, **ON)
    assert refused.value.code == "customer_tax_location_invalid"
    subscription = account.subscribe(customer, price)
    asked: Any = {"subscription": subscription.id, **ON}
    previewed = account.v1.invoices.create_preview(asked)
    assert (previewed.automatic_tax.status, previewed.total) == ("requires_location_inputs", 1000)


def test_manual_invoice_waits_for_an_address(account: StripeAccount, customer: str) -> None:
    account.v1.invoice_items.create({"customer": customer, "amount": 1000, "currency": "usd"})
    params: Any = {"customer": customer, "pending_invoice_items_behavior": "include", **ON}
    invoice = account.v1.invoices.create(params)
    assert invoice.automatic_tax.status == "requires_location_inputs"
    with pytest.raises(stripe.InvalidRequestError, match="location"):
        account.v1.invoices.finalize_invoice(str(invoice.id))
    account.v1.customers.update(customer, {"address": {"country": "DE"}})
    opened = account.v1.invoices.finalize_invoice(str(invoice.id))
    assert (opened.automatic_tax.status, opened.total) == ("complete", 1190)


def test_renewal_without_an_address_turns_automatic_tax_off(account: StripeAccount, test_clock: str) -> None:
    customer = account.on_clock(test_clock).id
    account.v1.customers.update(customer, {"address": {"country": "DE"}})
    subscription = account.subscribe(customer, account.price(1000).id, **ON)
    account.v1.customers.update(customer, {"address": ""})
    account.advance(test_clock, START + 31 * 86400)
    invoice = account.invoice(account.again(subscription))
    assert (invoice.status, invoice.total) == ("paid", 1000)
    assert invoice.automatic_tax.disabled_reason == "finalization_requires_location_inputs"
    assert account.again(subscription).automatic_tax.disabled_reason == "requires_location_inputs"


def test_inactive_or_unknown_rates_are_refused(account: StripeAccount, customer: str) -> None:
    found = rate(account, 10)
    account.v1.tax_rates.update(found, {"active": False})
    for rates in ([found], ["txr_x"]):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            account.subscribe(customer, account.price(1000).id, default_tax_rates=rates)
        assert refused.value.param == "default_tax_rates"


def test_rates_and_automatic_tax_exclude_each_other(account: StripeAccount) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="automatic tax"):
        account.subscribe(
            in_country(account, "DE"), account.price(1000).id, default_tax_rates=[rate(account, 10)], **ON
        )


def test_credit_note_credits_tax_and_discount_in_proportion(account: StripeAccount, customer: str) -> None:
    half = account.v1.coupons.create({"percent_off": 50, "duration": "forever"}).id
    terms: Json = {"default_tax_rates": [rate(account, 10)], "discounts": [{"coupon": half}]}
    invoice = account.invoice(account.subscribe(customer, account.price(1000).id, quantity=4, **terms))
    assert invoice.total == 2200
    line: Any = {"type": "invoice_line_item", "invoice_line_item": invoice.lines.data[0].id, "quantity": 1}
    note = account.v1.credit_notes.create({"invoice": str(invoice.id), "lines": [line], "credit_amount": 550})
    assert (note.subtotal, note.discount_amount, note.total_excluding_tax, note.total) == (1000, 500, 500, 550)
    assert plain(note)["total_taxes"][0]["amount"] == 50
    assert plain(note)["lines"]["data"][0]["discount_amount"] == 500
    assert account.v1.customers.retrieve(customer).balance == -550


def test_credit_note_of_an_inclusive_price_shows_its_tax(account: StripeAccount, customer: str) -> None:
    rates = [rate(account, 19, inclusive=True)]
    invoice = account.invoice(account.subscribe(customer, account.price(1190).id, default_tax_rates=rates))
    line: Any = {"type": "invoice_line_item", "invoice_line_item": invoice.lines.data[0].id, "amount": 1190}
    note = account.v1.credit_notes.create({"invoice": str(invoice.id), "lines": [line], "credit_amount": 1190})
    assert (note.total, note.total_excluding_tax, note.subtotal_excluding_tax) == (1190, 1000, 1000)
