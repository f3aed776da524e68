"""One-time items that a request adds to a subscription's invoice or to a draft."""

from typing import Any

import pytest
import stripe

from tests.support.stripe_account import StripeAccount, plain


@pytest.fixture
def once(account: StripeAccount) -> str:
    """Return a one-time price of 15.00."""
    params: Any = {"currency": "usd", "unit_amount": 1500, "product_data": {"name": "Setup"}}
    return account.v1.prices.create(params).id


def lines(invoice: stripe.Invoice) -> list[tuple[int, str | None]]:
    return [(line.amount, line.description) for line in invoice.lines.data]


def test_new_subscription_charges_added_items_at_once(account: StripeAccount, customer: str, once: str) -> None:
    added: Any = {"add_invoice_items": [{"price": once, "quantity": 2, "metadata": {"a": "b"}}]}
    invoice = account.invoice(account.subscribe(customer, account.price(1000).id, **added))
    assert lines(invoice) == [(3000, "Setup"), (1000, "1 × Plus (at $10.00 / month)")]  # noqa: RUF001 - Stripe's sign
    assert (invoice.status, invoice.amount_paid) == ("paid", 4000)
    line = plain(invoice)["lines"]["data"][0]
    assert (line["parent"]["type"], line["metadata"]) == ("invoice_item_details", {"a": "b"})


def test_trial_charges_only_added_items(account: StripeAccount, customer: str, once: str) -> None:
    added: Any = {"add_invoice_items": [{"price": once}], "trial_period_days": 7}
    trial = account.subscribe(customer, account.price(1000).id, **added)
    assert (trial.status, account.invoice(trial).amount_paid) == ("trialing", 1500)


def test_added_items_of_an_update_join_its_invoice(account: StripeAccount, customer: str, once: str) -> None:
    subscription = account.subscribe(customer, account.price(1000).id)
    more: Any = {"add_invoice_items": [{"price": once}], "proration_behavior": "always_invoice"}
    changed = account.swap(subscription, account.price(3000).id, **more)
    assert account.invoice(changed).amount_paid == 1500 + 2000


def test_added_items_wait_if_an_update_makes_no_invoice(account: StripeAccount, customer: str, once: str) -> None:
    subscription = account.subscribe(customer, account.price(1000).id)
    more: Any = {"add_invoice_items": [{"price": once}], "proration_behavior": "always_invoice"}
    changed = account.v1.subscriptions.update(subscription.id, more)
    assert changed.latest_invoice == subscription.latest_invoice
    assert [item.amount for item in account.pending(customer)] == [1500]


def test_added_item_must_have_a_one_time_price(account: StripeAccount, customer: str) -> None:
    monthly = account.price(1000).id
    for item in ({"price": monthly}, {"quantity": 1}):
        added: Any = {"add_invoice_items": [item]}
        with pytest.raises(stripe.InvalidRequestError) as refused:
            account.subscribe(customer, monthly, **added)
        assert refused.value.param == "add_invoice_items[0][price]"
    assert account.v1.subscriptions.list({"customer": customer}).data == []


def test_failed_update_adds_no_items(account: StripeAccount, customer: str, once: str) -> None:
    account.give_card(customer, "pm_card_visa")
    subscription = account.subscribe(customer, account.price(1000).id)
    account.give_card(customer, "pm_card_chargeCustomerFail")
    more: Any = {"add_invoice_items": [{"price": once}], "proration_behavior": "always_invoice"}
    with pytest.raises(stripe.CardError):
        account.swap(subscription, account.price(9000).id, payment_behavior="error_if_incomplete", **more)
    assert account.pending(customer) == []


def test_item_is_put_on_a_draft_and_taken_off(account: StripeAccount, customer: str) -> None:
    items, invoices = account.v1.invoice_items, account.v1.invoices
    draft = invoices.create({"customer": customer})
    kept, gone = (
        items.create({"customer": customer, "invoice": draft.id, "amount": amount, "description": "x"})
        for amount in (1000, 700)
    )
    assert kept.invoice == draft.id
    assert lines(invoices.retrieve(draft.id)) == [(700, "x"), (1000, "x")]
    items.delete(gone.id)
    left = invoices.retrieve(draft.id)
    assert (lines(left), left.total, left.amount_due) == ([(1000, "x")], 1000, 1000)
    assert invoices.pay(draft.id).amount_paid == 1000
    with pytest.raises(stripe.InvalidRequestError, match="already attached"):
        items.delete(kept.id)


def test_only_the_customers_own_drafts_take_items(account: StripeAccount, customer: str) -> None:
    items, invoices = account.v1.invoice_items, account.v1.invoices
    foreign = invoices.create({"customer": account.customer().id}).id
    final = invoices.create({"customer": customer}).id
    invoices.finalize_invoice(final)
    euro = invoices.create({"customer": customer, "currency": "eur"}).id
    for invoice in (foreign, final, euro, "in_none"):
        with pytest.raises(stripe.InvalidRequestError):
            items.create({"customer": customer, "invoice": invoice, "amount": 1000, "currency": "usd"})
