"""Comparison of the sandbox's responses with the molds of responses recorded from Stripe's API (2026-08-26.dahlia).

``recorded/`` contains one mold per file. The sandbox's response to the same requests must have the same keys and
types, and null in the same places.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import stripe

from tests.contract.molds import distances, mold
from tests.support.clock import MONTH, START
from tests.support.json_types import Json
from tests.support.stripe_account import StripeAccount, plain

RECORDED = {file.stem: json.loads(file.read_text()) for file in Path(__file__).parent.glob("recorded/*.json")}
A_THIRD_IS_LEFT = START + MONTH * 2 // 3
"""The time when a third is left of the month that begins when the tests' clock starts."""


def paying(account: StripeAccount, **more: Any) -> stripe.Customer:
    """Return a customer like the one of the recording, with a default card but without a name."""
    params: Any = {"email": "owner@example.test", **more}
    return account.give_card(account.v1.customers.create(params).id, "pm_card_visa")


def changed(account: StripeAccount, customer: str, prices: tuple[int, int]) -> stripe.Subscription:
    """Return a subscription whose price was changed immediately, prorated from the last third of the month."""
    before, after = (account.price(amount) for amount in prices)
    subscription = account.subscribe(customer, before.id)
    now: Any = {"proration_behavior": "always_invoice", "proration_date": A_THIRD_IS_LEFT}
    return account.swap(subscription, after.id, **now)


def customer_in_credit(account: StripeAccount) -> Json:
    customer = paying(account, description="proration")
    changed(account, customer.id, (2000, 1000))
    return plain(account.v1.customers.retrieve(customer.id))


def invoice_of_a_new_subscription(account: StripeAccount) -> Json:
    return plain(account.invoice(account.subscribe(paying(account).id, account.price(1000).id)))


def invoice_of_an_upgrade(account: StripeAccount) -> Json:
    return plain(account.invoice(changed(account, paying(account).id, (2000, 60000))))


def invoice_of_a_downgrade(account: StripeAccount) -> Json:
    return plain(account.invoice(changed(account, paying(account).id, (2000, 1000))))


def pending_invoice_items(account: StripeAccount) -> Json:
    customer = paying(account)
    cheap, dear = account.price(1000), account.price(1800)
    account.swap(account.subscribe(customer.id, cheap.id), dear.id, proration_date=A_THIRD_IS_LEFT)
    account.v1.subscriptions.cancel(account.subscribe(customer.id, cheap.id).id, {"prorate": True})
    return plain(account.v1.invoice_items.list({"customer": customer.id, "pending": True}))


def subscription_active(account: StripeAccount) -> Json:
    return plain(account.subscribe(paying(account).id, account.price(2000).id))


def subscription_after_a_price_change(account: StripeAccount) -> Json:
    return plain(changed(account, paying(account).id, (2000, 60000)))


def subscription_canceled(account: StripeAccount) -> Json:
    subscription = account.subscribe(paying(account).id, account.price(1000).id)
    return plain(account.v1.subscriptions.cancel(subscription.id, {"prorate": True, "invoice_now": True}))


def subscription_incomplete(account: StripeAccount) -> Json:
    customer = account.v1.customers.create({"email": "owner@example.test"})
    card = account.v1.payment_methods.attach("pm_card_authenticationRequired", {"customer": customer.id})
    return plain(account.subscribe(customer.id, account.price(2000).id, default_payment_method=card.id))


def event_customer_updated(account: StripeAccount) -> Json:
    customer = account.v1.customers.create(
        {"email": "a@example.test", "name": "Before", "metadata": {"probe": "events"}}
    )
    account.v1.customers.update(customer.id, {"email": "b@example.test", "name": "After"})
    return plain(account.events(type="customer.updated")[0])


def event_customer_deleted(account: StripeAccount) -> Json:
    customer = account.v1.customers.create({"email": "a@example.test", "name": "A", "metadata": {"probe": "events"}})
    account.v1.customers.delete(customer.id)
    return plain(account.events(type="customer.deleted")[0])


def event_product_updated(account: StripeAccount) -> Json:
    product = account.v1.products.create({"name": "probe", "metadata": {"seed": "1"}})
    account.v1.products.update(product.id, {"description": "d", "metadata": {"a": "1"}})
    return plain(account.events(type="product.updated")[0])


REQUESTS: dict[str, Callable[[StripeAccount], Json]] = {
    request.__name__: request
    for request in (
        customer_in_credit,
        event_customer_deleted,
        event_customer_updated,
        event_product_updated,
        invoice_of_a_downgrade,
        invoice_of_a_new_subscription,
        invoice_of_an_upgrade,
        pending_invoice_items,
        subscription_active,
        subscription_after_a_price_change,
        subscription_canceled,
        subscription_incomplete,
    )
}


@pytest.mark.parametrize("name", RECORDED)
def test_response_has_the_recorded_mold(account: StripeAccount, name: str) -> None:
    assert list(distances(RECORDED[name], mold(REQUESTS[name](account)))) == []


def test_comparison_finds_differences() -> None:
    recorded = {"a": "string", "b": ["null"], "c": {"d": "integer"}, "e": "null"}
    found = {"a": "null", "b": [], "c": {"d": "boolean"}, "f": "null"}
    assert list(distances(recorded, found)) == [
        ".a: recorded as string, and here null",
        ".b: recorded as a list of 1, and here a list of 0",
        ".c.d: recorded as integer, and here boolean",
        ".e: recorded as null, and here absent",
        ".f: recorded as absent, and here null",
    ]
