"""Discounts on subscriptions, items and invoices, and how long they last."""

from typing import Any

import pytest
import requests
import stripe

from gateway.sandbox import Sandbox
from tests.support.clock import MONTH, START, ManualClock
from tests.support.json_types import Json
from tests.support.stripe_account import StripeAccount, plain


def coupon(account: StripeAccount, **params: Any) -> Json:
    found = account.v1.coupons.create({"duration": "forever"} | params)  # type: ignore[arg-type]  # built at run time
    return {"coupon": found.id}


def off(account: StripeAccount, amount: int, **more: Any) -> Json:
    return coupon(account, amount_off=amount, currency="usd", **more)


def pair(account: StripeAccount, customer: str, **more: Any) -> stripe.Subscription:
    """Subscribe to an item of 10.00 and one of 20.00."""
    items = [{"price": account.price(amount).id} for amount in (1000, 2000)]
    params: Any = {"customer": customer, "items": items}
    return account.v1.subscriptions.create(params | more)


def taken(invoice: stripe.Invoice) -> list[int]:
    """Return what was taken off each line, by the amount of the line."""
    rows = sorted(plain(invoice)["lines"]["data"], key=lambda row: int(row["amount"]))
    return [sum(entry["amount"] for entry in row["discount_amounts"]) for row in rows]


def test_lines_keep_their_amounts_and_the_total_is_lower(account: StripeAccount, customer: str) -> None:
    subscription = pair(account, customer, discounts=[coupon(account, percent_off=10)])
    invoice = account.invoice(subscription)
    assert (invoice.subtotal, invoice.total, invoice.amount_paid) == (3000, 2700, 2700)
    assert (taken(invoice), invoice.discounts) == ([100, 200], subscription.discounts)
    assert plain(invoice)["total_discount_amounts"] == [{"amount": 300, "discount": subscription.discounts[0]}]


def test_fixed_amount_is_spread_in_proportion(account: StripeAccount, customer: str) -> None:
    invoice = account.invoice(pair(account, customer, discounts=[off(account, 500)]))
    assert (taken(invoice), invoice.total) == ([167, 333], 2500)


def test_discount_never_takes_off_more_than_there_is(account: StripeAccount, customer: str) -> None:
    invoice = account.invoice(pair(account, customer, discounts=[off(account, 9000)]))
    assert (taken(invoice), invoice.total, invoice.status) == ([1000, 2000], 0, "paid")


def test_free_first_period_needs_no_card(account: StripeAccount) -> None:
    customer = account.customer(None).id
    subscription = account.subscribe(customer, account.price(1000).id, discounts=[coupon(account, percent_off=100)])
    assert (subscription.status, account.invoice(subscription).total) == ("active", 0)


def test_item_discount_comes_before_that_of_the_subscription(account: StripeAccount, customer: str) -> None:
    items = [
        {"price": account.price(1000).id, "discounts": [off(account, 200)]},
        {"price": account.price(2000).id},
    ]
    params: Any = {"customer": customer, "items": items, "discounts": [coupon(account, percent_off=50)]}
    subscription = account.v1.subscriptions.create(params)
    invoice = account.invoice(subscription)
    assert (taken(invoice), invoice.subtotal, invoice.total) == ([200 + 400, 1000], 2800, 1400)
    line = next(row for row in invoice.lines.data if row.amount == 1000)
    assert line.discounts == subscription.items.data[0].discounts


def test_coupon_applies_only_to_its_products(account: StripeAccount, customer: str) -> None:
    plus = account.price(1000)
    only = coupon(account, percent_off=50, applies_to={"products": [plus.product]})
    params: Any = {"customer": customer, "items": [{"price": plus.id}, {"price": account.price(2000).id}]}
    invoice = account.invoice(account.v1.subscriptions.create(params | {"discounts": [only]}))
    assert (taken(invoice), invoice.total) == ([500, 0], 2500)


def test_half_cent_of_a_discount_rounds_down(account: StripeAccount, customer: str) -> None:
    invoice = account.invoice(
        account.subscribe(customer, account.price(1025).id, discounts=[coupon(account, percent_off=10)])
    )
    assert (taken(invoice), invoice.total) == ([102], 923)


def test_once_is_used_up_by_the_first_invoice(account: StripeAccount, test_clock: str) -> None:
    customer = account.on_clock(test_clock).id
    once = coupon(account, percent_off=10, duration="once")
    subscription = account.subscribe(customer, account.price(1000).id, discounts=[once])
    assert (account.invoice(subscription).total, subscription.discounts) == (900, [])
    account.advance(test_clock, START + MONTH + 7200)
    assert account.invoice(account.again(subscription)).total == 1000


def test_once_waits_for_the_next_invoice(account: StripeAccount, test_clock: str) -> None:
    subscription = account.subscribe(account.on_clock(test_clock).id, account.price(1000).id)
    once = coupon(account, percent_off=10, duration="once")
    wanted: Any = {"discounts": [once]}
    updated = account.v1.subscriptions.update(subscription.id, wanted)
    assert len(updated.discounts) == 1
    assert account.v1.invoices.create_preview({"subscription": subscription.id}).total == 900
    assert len(account.again(subscription).discounts) == 1, "a preview uses nothing up"
    for total in (900, 1000):
        account.advance(test_clock, account.standing(test_clock).frozen_time + 31 * 86400 + 7200)
        assert account.invoice(account.again(subscription)).total == total
    assert account.again(subscription).discounts == []


def test_once_outlasts_a_free_trial(account: StripeAccount, test_clock: str) -> None:
    once = coupon(account, percent_off=10, duration="once")
    subscription = account.subscribe(
        account.on_clock(test_clock).id, account.price(1000).id, discounts=[once], trial_period_days=7
    )
    account.advance(test_clock, START + 8 * 86400)
    assert account.invoice(account.again(subscription)).total == 900


def test_repeating_discount_ends_after_its_months(account: StripeAccount, test_clock: str) -> None:
    two = off(account, 100, duration="repeating", duration_in_months=2)
    subscription = account.subscribe(account.on_clock(test_clock).id, account.price(1000).id, discounts=[two])
    totals = [account.invoice(subscription).total]
    for _ in range(2):
        account.advance(test_clock, account.standing(test_clock).frozen_time + 31 * 86400 + 7200)
        totals.append(account.invoice(account.again(subscription)).total)
    assert totals == [900, 900, 1000]
    assert account.again(subscription).discounts == []
    types = [event.type for event in account.events(type="customer.discount.*")]
    assert types == ["customer.discount.created", "customer.discount.deleted"]


def test_discounts_are_replaced_kept_and_cleared(account: StripeAccount, customer: str) -> None:
    subscription = account.subscribe(customer, account.price(1000).id, discounts=[coupon(account, percent_off=10)])
    update: Any = account.v1.subscriptions.update
    (first,) = subscription.discounts
    both = update(subscription.id, {"discounts": [{"discount": first}, coupon(account, percent_off=20)]}).discounts
    assert (both[0], len(both)) == (first, 2)
    assert update(subscription.id, {"metadata": {"a": "b"}}).discounts == both
    assert account.v1.invoices.create_preview({"subscription": subscription.id}).total == 720
    assert update(subscription.id, {"discounts": ""}).discounts == []
    types = [event.type.rpartition(".")[2] for event in account.events(type="customer.discount.*")]
    assert types == ["created", "created", "deleted", "deleted"]


def test_removed_discount_is_returned_and_gone(account: StripeAccount, customer: str) -> None:
    subscription = account.subscribe(customer, account.price(1000).id, discounts=[coupon(account, percent_off=10)])
    removed = account.v1.subscriptions.delete_discount(subscription.id)
    assert (removed.id, removed.deleted) == (subscription.discounts[0], True)
    assert account.again(subscription).discounts == []
    with pytest.raises(stripe.InvalidRequestError, match="No active discount"):
        account.v1.subscriptions.delete_discount(subscription.id)


def test_change_of_discounts_alone_prorates_nothing(account: StripeAccount, customer: str, clock: ManualClock) -> None:
    subscription = account.subscribe(customer, account.price(1000).id)
    clock.now += MONTH // 2
    update: Any = account.v1.subscriptions.update
    update(subscription.id, {"discounts": [coupon(account, percent_off=50)], "proration_behavior": "always_invoice"})
    assert account.pending(customer) == []
    assert account.again(subscription).latest_invoice == subscription.latest_invoice


def test_credit_returns_what_was_left_after_the_discount(
    account: StripeAccount, customer: str, clock: ManualClock
) -> None:
    """5.00 off 10.00 and 20.00 leave 8.33 for the first item, of which half is credited (Stripe's own example)."""
    subscription = pair(account, customer, discounts=[off(account, 500)])
    clock.now = START + MONTH // 2
    account.v1.subscription_items.delete(subscription.items.data[0].id)
    (credit,) = account.pending(customer)
    row = plain(credit)
    assert (credit.amount, credit.net_amount, credit.discountable) == (-417, -417, False)
    assert row["proration_details"]["discount_amounts"] == [{"amount": 0, "discount": subscription.discounts[0]}]


def test_change_is_prorated_with_the_discount_of_the_same_request(
    account: StripeAccount, customer: str, clock: ManualClock
) -> None:
    subscription = account.subscribe(customer, account.price(1000).id)
    clock.now = START + MONTH // 2
    half = coupon(account, percent_off=50)
    dear = account.price(2000).id
    items = [{"id": subscription.items.data[0].id, "price": dear}]
    details = {"items": items, "proration_behavior": "always_invoice"}
    asked: Any = {"subscription": subscription.id, "subscription_details": details, "discounts": [half]}
    quoted = account.v1.invoices.create_preview(asked)
    after = account.swap(subscription, dear, proration_behavior="always_invoice", discounts=[half])
    charged = account.invoice(after)
    assert sorted(line.amount for line in charged.lines.data) == [-500, 500]
    assert [quoted.total, quoted.amount_due] == [charged.total, charged.amount_due] == [0, 0]
    assert account.v1.coupons.retrieve(half["coupon"]).times_redeemed == 1, "a preview redeems nothing"


def test_once_is_used_up_by_a_proration(account: StripeAccount, customer: str, clock: ManualClock) -> None:
    subscription = account.subscribe(customer, account.price(1000).id)
    clock.now = START + MONTH // 2
    once = coupon(account, percent_off=50, duration="once")
    after = account.swap(subscription, account.price(4000).id, proration_behavior="always_invoice", discounts=[once])
    assert (account.invoice(after).total, after.discounts) == (-500 + 1000, [])
    account.swap(after, account.price(1000).id, proration_behavior="always_invoice")
    assert account.invoice(account.again(after)).total == -1000 + 500


def test_manual_invoice_has_discounts_of_its_own(account: StripeAccount, customer: str) -> None:
    items: Any = account.v1.invoice_items
    items.create({"customer": customer, "amount": 1000, "currency": "usd", "discounts": [off(account, 100)]})
    items.create({"customer": customer, "amount": 500, "currency": "usd", "discountable": False})
    items.create({"customer": customer, "amount": -200, "currency": "usd"})
    wanted: Any = {"customer": customer, "pending_invoice_items_behavior": "include"}
    invoice = account.v1.invoices.create(wanted | {"discounts": [coupon(account, percent_off=10)]})
    assert (taken(invoice), invoice.subtotal, invoice.total) == ([0, 0, 190], 1200, 1110)
    assert account.v1.invoices.update(str(invoice.id), {"discounts": ""}).total == 1200
    assert account.v1.invoices.pay(str(invoice.id)).amount_paid == 1200


def test_usage_is_discounted_when_it_is_counted_again(account: StripeAccount, test_clock: str, meter: str) -> None:
    customer = account.on_clock(test_clock).id
    once = coupon(account, percent_off=50, duration="once")
    params: Any = {"customer": customer, "items": [{"price": account.metered(meter).id}], "discounts": [once]}
    subscription = account.v1.subscriptions.create(params)
    account.use(customer, 10)
    account.advance(test_clock, START + MONTH + 60)
    account.use(customer, 10, timestamp=START + MONTH - 60)
    account.advance(test_clock, START + MONTH + 7200)
    invoice = account.v1.invoices.list({"subscription": subscription.id}).data[0]
    assert (invoice.subtotal, invoice.total, invoice.amount_paid) == (200, 100, 100)


def test_customers_discount_lowers_invoices_without_their_own(
    account: StripeAccount, sandbox: Sandbox, customer: str
) -> None:
    url = f"{sandbox.url}/_sandbox/customers/{customer}/discount"
    assert requests.post(url, json=coupon(account, percent_off=10), timeout=5).status_code == 201
    assert account.invoice(account.subscribe(customer, account.price(1000).id)).total == 900
    own = [coupon(account, percent_off=50)]
    assert account.invoice(account.subscribe(customer, account.price(1000).id, discounts=own)).total == 500
    account.v1.customers.delete_discount(customer)
    assert account.invoice(account.subscribe(customer, account.price(1000).id)).total == 1000


def test_itemized_prorations_are_refused_by_name(account: StripeAccount, customer: str) -> None:
    mode = {"type": "flexible", "flexible": {"proration_discounts": "itemized"}}
    with pytest.raises(stripe.InvalidRequestError, match="does not implement itemized discounts"):
        account.subscribe(customer, account.price(1000).id, billing_mode=mode)
