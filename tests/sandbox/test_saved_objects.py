"""A sandbox continues with the objects of another one."""

from typing import Any

from gateway.sandbox import Sandbox
from gateway.stripe_api.client import stripe_client
from tests.support.clock import MONTH, StripeTime


def test_loaded_subscription_renews() -> None:
    clock = StripeTime()
    with Sandbox(clock=clock) as first:
        v1 = stripe_client("sk_test_saved", first.url).v1
        customer = v1.customers.create({"name": "Loaded"})
        product = v1.products.create({"name": "Plus"})
        terms: Any = {"currency": "usd", "unit_amount": 0, "recurring": {"interval": "month"}, "product": product.id}
        price = v1.prices.create(terms)
        subscription = v1.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})
        saved = first.save()
    with Sandbox(clock=clock) as second:
        second.load(saved)
        v1 = stripe_client("sk_test_saved", second.url).v1
        clock.ahead += 1.1 * MONTH
        renewed = v1.subscriptions.retrieve(subscription.id)
        invoices = v1.invoices.list({"customer": customer.id}).data
        assert [each.billing_reason for each in invoices] == ["subscription_cycle", "subscription_create"]
        assert renewed.latest_invoice == invoices[0].id
