from contextlib import suppress
from typing import Any

import requests
import stripe

from tests.contract.stage import ScenarioAccount
from tests.support.clock import MONTH


def coupons_and_codes_come_and_go(stage: ScenarioAccount) -> None:
    coupons, codes = stage.v1.coupons, stage.v1.promotion_codes
    product = stage.v1.products.create({"name": "Plus"})
    half = coupons.create({"percent_off": 50.5, "duration": "forever", "applies_to": {"products": [product.id]}})
    coupons.create({"amount_off": 500, "currency": "usd", "duration": "repeating", "duration_in_months": 3})
    coupons.update(half.id, {"name": "Half", "metadata": {"a": "b"}})
    coupons.retrieve(half.id)
    coupons.list()
    code = codes.create({"promotion": {"type": "coupon", "coupon": half.id}, "code": "SPRING"})
    codes.update(code.id, {"active": False, "metadata": {"a": "b"}})
    codes.retrieve(code.id, {"expand": ["promotion.coupon"]})
    codes.list({"code": "SPRING"})
    coupons.delete(half.id)
    with suppress(stripe.InvalidRequestError):
        coupons.retrieve(half.id)


def discounts_lower_every_kind_of_invoice(stage: ScenarioAccount) -> None:
    coupons = stage.v1.coupons
    once = coupons.create({"percent_off": 10, "duration": "once"}).id
    months = coupons.create({"amount_off": 500, "currency": "usd", "duration": "repeating", "duration_in_months": 2}).id
    code = stage.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": months}}).id
    clock = stage.test_clock()
    customer = stage.on_clock(clock)
    item: Any = {"price": stage.price(3000).id, "discounts": [{"coupon": once}]}
    expand = ["latest_invoice.discounts.source.coupon", "discounts.promotion_code", "items.data.discounts"]
    subscription = stage.v1.subscriptions.create(
        {"customer": customer.id, "items": [item], "discounts": [{"promotion_code": code}], "expand": expand}
    )
    stage.swap(subscription, stage.price(6000).id, proration_behavior="always_invoice")
    stage.v1.invoices.create_preview({"subscription": subscription.id, "discounts": [{"coupon": once}]})
    stage.advance(clock, stage.standing(clock).frozen_time + 3 * MONTH)
    stage.v1.subscriptions.update(subscription.id, {"discounts": [{"coupon": once}]})
    stage.v1.subscriptions.delete_discount(subscription.id)
    stage.v1.invoice_items.create(
        {"customer": customer.id, "amount": 1000, "currency": "usd", "discounts": [{"coupon": once}]}
    )
    invoice = stage.v1.invoices.create(
        {
            "customer": customer.id,
            "pending_invoice_items_behavior": "include",
            "discounts": [{"coupon": once}],
            "expand": ["total_discount_amounts.discount"],
        }
    )
    stage.v1.invoices.update(str(invoice.id), {"discounts": ""})


def a_customers_discount_is_removed(stage: ScenarioAccount) -> None:
    customer = stage.customer()
    for percent in (10, 20):
        coupon = stage.v1.coupons.create({"percent_off": percent, "duration": "forever"}).id
        url = f"{stage.sandbox.url}/_sandbox/customers/{customer.id}/discount"
        requests.post(url, json={"coupon": coupon}, timeout=5).raise_for_status()
    stage.subscribe(customer.id, stage.price(1000).id)
    stage.v1.customers.delete_discount(customer.id)
