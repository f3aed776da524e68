"""Subscriptions in classic billing mode, and their migration to flexible."""

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from gateway.sandbox.billing.invoicing import DRAFT_SECONDS
from tests.support.stripe_account import StripeAccount, plain

CLASSIC: Any = {"billing_mode": {"type": "classic"}}
FLEXIBLE: Any = {"billing_mode": {"type": "flexible"}}


@pytest.fixture
def subscription(account: StripeAccount, test_clock: str) -> stripe.Subscription:
    return account.subscribe(account.on_clock(test_clock).id, account.price(1000).id, **CLASSIC)


def test_classic_subscription_reads_and_renews(
    account: StripeAccount, test_clock: str, subscription: stripe.Subscription
) -> None:
    mode = {"flexible": None, "type": "classic", "updated_at": None}
    assert plain(account.again(subscription))["billing_mode"] == mode
    account.advance(test_clock, subscription.items.data[0].current_period_end + DRAFT_SECONDS + 1)
    renewed = account.again(subscription)
    assert (renewed.status, account.invoice(renewed).amount_paid) == ("active", 1000)


def test_classic_subscription_changes_without_proration(
    account: StripeAccount, subscription: stripe.Subscription
) -> None:
    dear = account.price(5000).id
    changed = account.swap(subscription, dear, 3, proration_behavior="none")
    assert (changed.items.data[0].price.id, changed.items.data[0].quantity) == (dear, 3)
    ending = account.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True, "metadata": {"a": "b"}})
    assert ending.cancel_at_period_end
    assert account.v1.subscriptions.cancel(subscription.id).status == "canceled"


def test_classic_mode_refuses_what_the_sandbox_lacks(
    account: StripeAccount, subscription: stripe.Subscription, meter: str
) -> None:
    v1, dear, yearly = account.v1, account.price(5000).id, account.price(9000, interval="year").id
    once = v1.prices.create({"currency": "usd", "unit_amount": 500, "product_data": {"name": "Setup"}}).id
    none: Any = {"proration_behavior": "none"}
    reset: Any = {"billing_cycle_anchor": {"type": "now"}} | none
    refused: dict[str, Callable[[], object]] = {
        "prorations": lambda: account.swap(subscription, dear),
        "a new billing cycle anchor": lambda: account.swap(subscription, yearly, **none),
        "anchor": lambda: v1.subscriptions.update(subscription.id, reset),
        "credit for unused time": lambda: v1.subscriptions.cancel(subscription.id, {"prorate": True}),
        "add_invoice_items": lambda: v1.subscriptions.update(subscription.id, {"add_invoice_items": [{"price": once}]}),
        "metered": lambda: account.swap(subscription, account.metered(meter).id, **none),
    }
    for text, ask in refused.items():
        with pytest.raises(stripe.InvalidRequestError, match=text) as refusal:
            ask()
        assert refusal.value.code == "sandbox_not_implemented", text
    with pytest.raises(stripe.InvalidRequestError, match="flexible billing mode can be paused"):
        v1.subscriptions.pause(subscription.id, {"type": "subscription"})


def test_free_classic_subscription_refuses_a_paid_price(account: StripeAccount, customer: str) -> None:
    free = account.subscribe(customer, account.price(0).id, **CLASSIC)
    with pytest.raises(stripe.InvalidRequestError, match="a new billing cycle anchor in classic"):
        account.swap(free, account.price(1000).id, proration_behavior="none")


def test_migration_is_one_way(account: StripeAccount, subscription: stripe.Subscription) -> None:
    migrated = account.v1.subscriptions.migrate(subscription.id, FLEXIBLE)
    assert plain(migrated)["billing_mode"]["type"] == "flexible"
    assert plain(migrated)["billing_mode"]["updated_at"] == migrated.created
    (event,) = account.events(type="customer.subscription.updated")[-1:]
    assert plain(event)["data"]["previous_attributes"]["billing_mode"]["type"] == "classic"
    changed = account.swap(migrated, account.price(5000).id, proration_behavior="always_invoice")
    assert account.invoice(changed).amount_paid == 4000
    with pytest.raises(stripe.InvalidRequestError, match="already in flexible"):
        account.v1.subscriptions.migrate(subscription.id, FLEXIBLE)
