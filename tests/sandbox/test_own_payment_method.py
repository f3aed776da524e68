"""A subscription's own ``default_payment_method`` pays in every flow, whatever the customer's default is."""

from typing import Any

import pytest
import stripe

from gateway.sandbox.billing.invoicing import DRAFT_SECONDS
from tests.support.clock import DAY, START
from tests.support.stripe_account import StripeAccount

DECLINES = "pm_card_chargeCustomerFail"


def attach(account: StripeAccount, customer: str, card: str = "pm_card_visa") -> str:
    return account.v1.payment_methods.attach(card, {"customer": customer}).id


@pytest.fixture
def broke(account: StripeAccount, test_clock: str) -> str:
    """Return a customer whose default card declines."""
    return account.on_clock(test_clock, DECLINES).id


def payer(account: StripeAccount, subscription: stripe.Subscription) -> str:
    """Return the payment method of the latest charge."""
    return str(account.v1.charges.list({"customer": str(subscription.customer), "limit": 1}).data[0].payment_method)


def test_own_card_pays_sign_up_renewal_and_change(account: StripeAccount, test_clock: str, broke: str) -> None:
    own = attach(account, broke)
    subscription = account.subscribe(broke, account.price(1000).id, default_payment_method=own)
    assert subscription.status == "active"
    dear = account.swap(subscription, account.price(9000).id, proration_behavior="always_invoice")
    assert (dear.status, payer(account, subscription)) == ("active", own)
    account.advance(test_clock, subscription.items.data[0].current_period_end + DRAFT_SECONDS + 1)
    assert (account.again(subscription).status, payer(account, subscription)) == ("active", own)


@pytest.mark.parametrize("behavior", ["allow_incomplete", "error_if_incomplete"])
def test_card_that_an_update_sets_pays_that_update(account: StripeAccount, broke: str, behavior: str) -> None:
    first = attach(account, broke)
    subscription = account.subscribe(broke, account.price(1000).id, default_payment_method=first)
    second = attach(account, broke, "pm_card_mastercard")
    more: Any = {"proration_behavior": "always_invoice", "payment_behavior": behavior}
    changed = account.swap(subscription, account.price(9000).id, default_payment_method=second, **more)
    assert (changed.status, payer(account, changed)) == ("active", second)


def test_card_that_ends_a_trial_pays_it(account: StripeAccount, test_clock: str) -> None:
    customer = account.on_clock(test_clock, None).id
    pausing = {"end_behavior": {"missing_payment_method": "pause"}}
    trial = account.subscribe(customer, account.price(1000).id, trial_period_days=9, trial_settings=pausing)
    params: Any = {"trial_end": "now", "default_payment_method": attach(account, customer)}
    assert account.v1.subscriptions.update(trial.id, params).status == "active"
    assert account.invoice(account.again(trial)).status == "paid"


def test_own_card_pays_retries_and_pay(account: StripeAccount, test_clock: str) -> None:
    customer = account.on_clock(test_clock)
    bad = attach(account, customer.id, DECLINES)
    subscription = account.subscribe(customer.id, account.price(1000).id)
    account.v1.subscriptions.update(subscription.id, {"default_payment_method": bad})
    due = subscription.items.data[0].current_period_end + DRAFT_SECONDS + 1
    account.advance(test_clock, due)
    late = account.again(subscription)
    assert late.status == "past_due"
    with pytest.raises(stripe.CardError):
        account.v1.invoices.pay(str(late.latest_invoice))
    good = attach(account, customer.id)
    account.v1.subscriptions.update(subscription.id, {"default_payment_method": good})
    account.advance(test_clock, due + 3 * DAY)
    assert (account.again(subscription).status, payer(account, subscription)) == ("active", good)


def test_preview_needs_no_payment_method(account: StripeAccount, broke: str) -> None:
    subscription = account.subscribe(broke, account.price(0).id)
    details: Any = {"items": [{"id": subscription.items.data[0].id, "price": account.price(9000).id}]}
    details["proration_behavior"] = "always_invoice"
    preview = account.v1.invoices.create_preview({"subscription": subscription.id, "subscription_details": details})
    assert (preview.amount_due, preview.created) == (9000, START)
