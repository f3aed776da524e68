"""Subscriptions whose invoices are sent to the customer and due at a date (``send_invoice``)."""

from typing import Any

import pytest
import requests
import stripe

from gateway.sandbox import Sandbox
from gateway.sandbox.billing.invoicing import DRAFT_SECONDS
from tests.support.clock import DAY, START
from tests.support.stripe_account import StripeAccount

SENT: Any = {"collection_method": "send_invoice", "days_until_due": 7}
OPENED = DRAFT_SECONDS + 1
DUE = START + 7 * DAY


@pytest.fixture
def subscription(account: StripeAccount, test_clock: str) -> stripe.Subscription:
    """Return a subscription of a customer without any payment method."""
    return account.subscribe(account.on_clock(test_clock, None).id, account.price(3000).id, **SENT)


def settings(sandbox: Sandbox, **changes: Any) -> None:
    assert requests.post(f"{sandbox.url}/_sandbox/settings", json=changes, timeout=5).status_code == 200


def test_sent_subscription_is_active_and_its_draft_opens(
    account: StripeAccount, test_clock: str, subscription: stripe.Subscription
) -> None:
    draft = account.invoice(subscription)
    assert (subscription.status, subscription.days_until_due, draft.status) == ("active", 7, "draft")
    assert (draft.collection_method, draft.due_date, draft.next_payment_attempt) == ("send_invoice", DUE, None)
    account.advance(test_clock, START + OPENED)
    opened = account.invoice(subscription)
    assert (opened.status, opened.due_date, opened.attempted, opened.attempt_count) == ("open", DUE, False, 0)
    assert (opened.next_payment_attempt, account.again(subscription).status) == (None, "active")


@pytest.mark.parametrize(("when", "status"), [("past_due", "past_due"), ("active", "active")])
def test_overdue_invoice_changes_the_status_by_setting(
    account: StripeAccount, sandbox: Sandbox, test_clock: str, subscription: stripe.Subscription, when: str, status: str
) -> None:
    settings(sandbox, when_overdue=when)
    account.advance(test_clock, DUE - 1)
    assert (account.events(type="invoice.overdue"), account.again(subscription).status) == ([], "active")
    account.advance(test_clock, DUE + 20 * DAY)
    assert (len(account.events(type="invoice.overdue")), account.again(subscription).status) == (1, status)
    assert account.events(type="invoice.payment_failed") == []


@pytest.mark.parametrize("elsewhere", [True, False])
def test_paying_an_overdue_invoice_makes_the_subscription_active(
    account: StripeAccount, test_clock: str, subscription: stripe.Subscription, *, elsewhere: bool
) -> None:
    account.advance(test_clock, DUE)
    invoice = str(subscription.latest_invoice)
    if elsewhere:
        account.v1.invoices.pay(invoice, {"paid_out_of_band": True})
    else:
        card = account.v1.payment_methods.attach("pm_card_visa", {"customer": str(subscription.customer)}).id
        account.v1.invoices.pay(invoice, {"payment_method": card})
    assert (account.again(subscription).status, account.invoice(subscription).status) == ("active", "paid")


@pytest.mark.parametrize("end", ["unpaid", "canceled", "past_due"])
def test_overdue_subscription_ends_as_the_settings_say(
    account: StripeAccount, sandbox: Sandbox, test_clock: str, end: str
) -> None:
    settings(sandbox, after_overdue=end, overdue_days=10)
    price = account.price(3000, interval="year").id
    subscription = account.subscribe(account.on_clock(test_clock, None).id, price, **SENT)
    account.advance(test_clock, DUE + 10 * DAY - 1)
    assert account.again(subscription).status == "past_due"
    account.advance(test_clock, DUE + 10 * DAY)
    assert account.again(subscription).status == end


def test_renewal_and_change_are_sent_with_a_due_date(
    account: StripeAccount, test_clock: str, subscription: stripe.Subscription
) -> None:
    changed = account.swap(subscription, account.price(9000).id, proration_behavior="always_invoice")
    draft = account.invoice(changed)
    assert (draft.status, draft.total, draft.due_date) == ("draft", 6000, DUE)
    assert changed.status == "active"
    over = changed.items.data[0].current_period_end
    account.advance(test_clock, over + OPENED)
    renewed = account.invoice(account.again(subscription))
    assert (renewed.status, renewed.due_date, renewed.next_payment_attempt) == ("open", over + 7 * DAY, None)
    assert (renewed.amount_due, renewed.attempted) == (9000, False)


def test_collection_method_changes_on_update(account: StripeAccount, customer: str) -> None:
    account.give_card(customer, "pm_card_visa")
    subscriptions = account.v1.subscriptions
    charged = account.subscribe(customer, account.price(3000).id)
    sent = subscriptions.update(charged.id, SENT)
    assert (sent.collection_method, sent.days_until_due) == ("send_invoice", 7)
    assert [row.id for row in subscriptions.list({"collection_method": "send_invoice"}).data] == [charged.id]
    again = subscriptions.update(charged.id, {"collection_method": "charge_automatically"})
    assert (again.collection_method, again.days_until_due) == ("charge_automatically", None)
    assert subscriptions.list({"collection_method": "send_invoice"}).data == []


@pytest.mark.parametrize("params", [{"days_until_due": 7}, {"collection_method": "send_invoice"}])
def test_days_until_due_belong_to_sent_invoices(account: StripeAccount, customer: str, params: dict[str, Any]) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="days_until_due"):
        account.subscribe(customer, account.price(3000).id, **params)


def test_trial_of_a_sent_subscription_needs_no_card(account: StripeAccount, test_clock: str) -> None:
    pausing = {"end_behavior": {"missing_payment_method": "pause"}}
    customer = account.on_clock(test_clock, None).id
    trial = account.subscribe(customer, account.price(3000).id, trial_period_days=3, trial_settings=pausing, **SENT)
    assert (trial.status, trial.pending_setup_intent) == ("trialing", None)
    account.advance(test_clock, START + 3 * DAY + OPENED)
    assert (account.again(trial).status, account.invoice(account.again(trial)).amount_due) == ("active", 3000)


def test_sent_subscription_takes_no_pending_update(account: StripeAccount, subscription: stripe.Subscription) -> None:
    waiting: Any = {"proration_behavior": "always_invoice", "payment_behavior": "pending_if_incomplete"}
    with pytest.raises(stripe.InvalidRequestError, match="charge_automatically"):
        account.swap(subscription, account.price(9000).id, **waiting)


def test_preview_of_a_sent_renewal_has_a_due_date(account: StripeAccount, subscription: stripe.Subscription) -> None:
    preview = account.v1.invoices.create_preview({"subscription": subscription.id})
    over = subscription.items.data[0].current_period_end
    assert (preview.due_date, preview.next_payment_attempt) == (over + 7 * DAY, None)


def test_overdue_manual_invoice_is_announced(account: StripeAccount, test_clock: str) -> None:
    customer = account.on_clock(test_clock, None).id
    account.v1.invoice_items.create({"customer": customer, "amount": 700, "currency": "usd"})
    params: Any = {"customer": customer, "pending_invoice_items_behavior": "include", **SENT}
    invoice = account.v1.invoices.create(params)
    account.v1.invoices.finalize_invoice(invoice.id)
    account.advance(test_clock, DUE)
    assert len(account.events(type="invoice.overdue")) == 1
    assert account.v1.invoices.retrieve(invoice.id).status == "open"


def test_debit_pays_no_pending_update(account: StripeAccount, customer: str) -> None:
    account.give_card(customer, "pm_usBankAccount")
    subscription = account.subscribe(customer, account.price(1000).id)
    waiting: Any = {"proration_behavior": "always_invoice", "payment_behavior": "pending_if_incomplete"}
    with pytest.raises(stripe.InvalidRequestError, match="do not support bank debits"):
        account.swap(subscription, account.price(9000).id, **waiting)
