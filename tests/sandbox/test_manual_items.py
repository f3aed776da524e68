"""Invoice items that a person adds to a subscription, and pending ones that a person deletes."""

from typing import Any

import pytest
import stripe

from gateway.sandbox.billing.invoicing import DRAFT_SECONDS
from tests.support.stripe_account import StripeAccount, plain

COLLECTED = DRAFT_SECONDS + 1


@pytest.fixture
def subscription(account: StripeAccount, test_clock: str) -> stripe.Subscription:
    return account.subscribe(account.on_clock(test_clock).id, account.price(3000).id)


def add(account: StripeAccount, subscription: stripe.Subscription, amount: int, **more: Any) -> stripe.InvoiceItem:
    params: Any = {"customer": str(subscription.customer), "subscription": subscription.id, "amount": amount}
    return account.v1.invoice_items.create(params | more)


def renewed(account: StripeAccount, test_clock: str, subscription: stripe.Subscription) -> stripe.Invoice:
    account.advance(test_clock, subscription.items.data[0].current_period_end + COLLECTED)
    return account.invoice(account.again(subscription))


def test_negative_item_lowers_the_next_renewal(
    account: StripeAccount, test_clock: str, subscription: stripe.Subscription
) -> None:
    item = add(account, subscription, -1200, description="Sorry")
    invoice = renewed(account, test_clock, subscription)
    assert (invoice.status, invoice.amount_paid) == ("paid", 1800)
    assert sorted(line.amount for line in invoice.lines.data) == [-1200, 3000]
    (line,) = (line for line in plain(invoice)["lines"]["data"] if line["amount"] == -1200)
    assert line["parent"]["invoice_item_details"]["invoice_item"] == item.id
    assert line["parent"]["invoice_item_details"]["subscription"] == subscription.id


def test_larger_credit_than_the_renewal_stays_on_the_balance(
    account: StripeAccount, test_clock: str, subscription: stripe.Subscription
) -> None:
    add(account, subscription, -5000)
    invoice = renewed(account, test_clock, subscription)
    assert (invoice.status, invoice.total, invoice.amount_paid, invoice.ending_balance) == ("paid", -2000, 0, -2000)


def test_deleted_item_is_not_billed(account: StripeAccount, test_clock: str, subscription: stripe.Subscription) -> None:
    item = add(account, subscription, -1200)
    stub = account.v1.invoice_items.delete(item.id)
    assert plain(stub) == {"id": item.id, "object": "invoiceitem", "deleted": True}
    assert renewed(account, test_clock, subscription).amount_paid == 3000
    (event,) = account.events(type="invoiceitem.deleted")
    assert plain(event)["data"]["object"]["amount"] == -1200


def test_deleted_proration_credit_can_be_credited_again(
    account: StripeAccount, subscription: stripe.Subscription
) -> None:
    account.v1.subscriptions.update(subscription.id, {"items": [seats(subscription, 2)]})
    credit, _debit = account.pending(str(subscription.customer))
    assert credit.amount == -3000
    account.v1.invoice_items.delete(credit.id)
    account.v1.subscriptions.update(subscription.id, {"items": [seats(subscription, 3)]})
    amounts = [row.amount for row in account.pending(str(subscription.customer))]
    assert sorted(amounts) == [-6000, -3000, 6000, 9000]


def seats(subscription: stripe.Subscription, quantity: int) -> Any:
    return {"id": subscription.items.data[0].id, "quantity": quantity}


def test_item_takes_the_currency_of_its_subscription(account: StripeAccount) -> None:
    """A customer whose subscription was never invoiced has no currency yet."""
    meter = account.meter().id
    items: Any = [{"price": account.metered(meter, currency="eur").id}]
    subscription = account.v1.subscriptions.create({"customer": account.customer().id, "items": items})
    assert add(account, subscription, -100).currency == "eur"
    with pytest.raises(stripe.InvalidRequestError, match="is billed in eur"):
        add(account, subscription, -100, currency="usd")


def test_item_of_another_customers_subscription_is_refused(
    account: StripeAccount, subscription: stripe.Subscription
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="does not belong"):
        add(account, subscription, -100, customer=account.customer().id)


def test_item_of_an_ended_subscription_is_refused(account: StripeAccount, subscription: stripe.Subscription) -> None:
    account.v1.subscriptions.cancel(subscription.id)
    with pytest.raises(stripe.InvalidRequestError, match="has ended"):
        add(account, subscription, -100)


def test_item_with_an_amount_names_a_price(account: StripeAccount) -> None:
    customer = account.customer()
    item = account.v1.invoice_items.create({"customer": customer.id, "amount": 1000, "currency": "usd"})
    assert item.pricing is not None
    assert item.pricing.price_details is not None
    price = account.v1.prices.retrieve(str(item.pricing.price_details.price))
    assert (item.pricing.type, price.unit_amount, price.active) == ("price_details", 1000, False)
    changed = account.v1.invoice_items.update(item.id, {"amount": -5})
    assert changed.pricing is not None
    assert str(changed.pricing.unit_amount_decimal) == "-5"
