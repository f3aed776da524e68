"""Subscription items that requests add, change and remove one at a time."""

from typing import Any

import pytest
import stripe

from tests.support.clock import MONTH, START, ManualClock
from tests.support.stripe_account import StripeAccount, plain


def test_new_item_is_charged_for_the_rest_of_the_current_period(account: StripeAccount, clock: ManualClock) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer.id, account.price(1000).id)
    clock.now += MONTH // 3
    item = account.v1.subscription_items.create(
        {"subscription": subscription.id, "price": account.price(3000).id, "quantity": 2}
    )
    assert (item.current_period_start, item.created) == (START, START + MONTH // 3)
    assert [row.amount for row in account.pending(customer.id)] == [4000]
    now = account.v1.subscriptions.retrieve(subscription.id)
    assert [row.id for row in now.items.data] == [subscription.items.data[0].id, item.id]
    assert now.latest_invoice == subscription.latest_invoice
    assert account.v1.subscription_items.retrieve(item.id).quantity == 2


@pytest.mark.parametrize(("behavior", "pending", "invoiced"), [("always_invoice", [], 2000), ("none", [], None)])
def test_proration_behavior_decides_what_is_billed(
    account: StripeAccount, clock: ManualClock, behavior: Any, pending: list[int], invoiced: int | None
) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer.id, account.price(1000).id)
    clock.now += MONTH // 3
    account.v1.subscription_items.create(
        {"subscription": subscription.id, "price": account.price(3000).id, "proration_behavior": behavior}
    )
    assert [row.amount for row in account.pending(customer.id)] == pending
    latest = account.invoice(account.v1.subscriptions.retrieve(subscription.id))
    assert (latest.total if latest.billing_reason == "subscription_update" else None) == invoiced


def test_item_update_has_the_effect_of_a_subscription_update(account: StripeAccount, clock: ManualClock) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer.id, account.price(900).id)
    clock.now += MONTH * 2 // 3
    item = account.v1.subscription_items.update(
        subscription.items.data[0].id, {"quantity": 3, "proration_date": START + MONTH // 3, "metadata": {"a": "b"}}
    )
    assert (item.quantity, plain(item)["metadata"]) == (3, {"a": "b"})
    assert [row.amount for row in account.pending(customer.id)] == [-600, 1800]


def test_removed_item_is_credited_and_no_longer_found(account: StripeAccount, clock: ManualClock) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer.id, account.price(1000).id)
    items = account.v1.subscription_items
    item = items.create({"subscription": subscription.id, "price": account.price(3000).id})
    clock.now += MONTH // 3
    assert plain(items.delete(item.id)) == {"id": item.id, "object": "subscription_item", "deleted": True}
    assert [row.amount for row in account.pending(customer.id)] == [-2000, 3000]
    with pytest.raises(stripe.InvalidRequestError, match=f"Invalid subscription_item id: {item.id}"):
        items.retrieve(item.id)
    with pytest.raises(stripe.InvalidRequestError, match="at least one active plan"):
        items.delete(subscription.items.data[0].id)


def test_change_that_waits_for_its_payment_keeps_the_item(account: StripeAccount) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer.id, account.price(1000).id)
    account.give_card(customer.id, "pm_card_chargeCustomerFail")
    waiting: Any = {"proration_behavior": "always_invoice", "payment_behavior": "pending_if_incomplete"}
    items = account.v1.subscription_items
    more: Any = {"quantity": 5} | waiting
    assert items.update(subscription.items.data[0].id, more).quantity == 1
    first = account.v1.subscriptions.retrieve(subscription.id).latest_invoice
    another: Any = {"subscription": subscription.id, "price": account.price(3000).id} | waiting
    added = items.create(another)
    assert account.v1.invoices.retrieve(str(first)).status == "void"
    parked = account.v1.subscriptions.retrieve(subscription.id)
    assert parked.pending_update is not None
    assert parked.pending_update.subscription_items is not None
    assert [row.quantity for row in parked.pending_update.subscription_items] == [1, 1]
    assert added.id in [row.id for row in parked.pending_update.subscription_items]
    with pytest.raises(stripe.InvalidRequestError):
        items.retrieve(added.id)


def test_errors_name_the_items_own_parameters(account: StripeAccount) -> None:
    subscription = account.subscribe(account.customer().id, account.price(1000).id)
    items = account.v1.subscription_items
    with pytest.raises(stripe.InvalidRequestError, match="No such price") as wrong:
        items.create({"subscription": subscription.id, "price": "price_nope"})
    assert wrong.value.param == "price"
    with pytest.raises(stripe.InvalidRequestError, match=r"Missing required param: price\.") as wrong:
        items.create({"subscription": subscription.id})
    assert wrong.value.param == "price"


def test_ended_subscription_refuses_new_items(account: StripeAccount) -> None:
    subscription = account.subscribe(account.customer().id, account.price(0).id)
    account.v1.subscriptions.cancel(subscription.id)
    with pytest.raises(stripe.InvalidRequestError, match="No such subscription"):
        account.v1.subscription_items.create({"subscription": subscription.id, "price": account.price(1).id})
