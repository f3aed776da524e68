"""Unpaid renewals, their retries, and their end as the account's settings say."""

from typing import Any

import pytest
import requests
import stripe

from gateway.sandbox import Sandbox
from gateway.sandbox.billing.invoicing import DRAFT_SECONDS
from tests.support.clock import DAY, MONTH, START
from tests.support.stripe_account import StripeAccount, plain

COLLECTED = DRAFT_SECONDS + 1
"""Seconds between creating a draft and charging it for the first time."""


def settings(sandbox: Sandbox, **changes: Any) -> requests.Response:
    return requests.post(f"{sandbox.url}/_sandbox/settings", json=changes, timeout=5)


@pytest.fixture
def subscription(account: StripeAccount, test_clock: str) -> stripe.Subscription:
    """Return a subscription whose card declines all later charges."""
    customer = account.on_clock(test_clock)
    made = account.subscribe(customer.id, account.price(3000).id)
    account.give_card(customer.id, "pm_card_chargeCustomerFail")
    return made


@pytest.fixture
def due(subscription: stripe.Subscription) -> int:
    """Return the time of the first attempt."""
    return subscription.items.data[0].current_period_end + COLLECTED


def test_failed_renewal_is_past_due_and_retried_by_schedule(
    account: StripeAccount, test_clock: str, subscription: stripe.Subscription, due: int
) -> None:
    for attempts, wait in enumerate((0, 3, 5), 1):
        due += wait * DAY
        account.advance(test_clock, due)
        late = account.again(subscription)
        invoice = account.invoice(late)
        assert (late.status, invoice.status, invoice.attempt_count) == ("past_due", "open", attempts)
        assert invoice.next_payment_attempt == due + (3, 5, 7)[attempts - 1] * DAY
    failed = account.events(type="invoice.payment_failed")
    assert [plain(event)["data"]["object"]["attempt_count"] for event in failed] == [1, 2, 3]


@pytest.mark.parametrize("end", ["canceled", "unpaid", "past_due"])
def test_last_failed_retry_ends_as_the_settings_say(
    account: StripeAccount, sandbox: Sandbox, test_clock: str, subscription: stripe.Subscription, due: int, end: str
) -> None:
    assert settings(sandbox, after_retries=end, retry_days=[2]).status_code == 200
    account.advance(test_clock, due + 2 * DAY)
    given_up = account.again(subscription)
    invoice = account.invoice(given_up)
    assert (given_up.status, invoice.status) == (end, "open")
    assert (invoice.attempt_count, invoice.next_payment_attempt, invoice.auto_advance) == (2, None, False)
    if end == "canceled":
        assert given_up.cancellation_details is not None
        assert given_up.cancellation_details.reason == "payment_failed"
        assert given_up.ended_at == due + 2 * DAY


def test_successful_retry_makes_the_subscription_active(
    account: StripeAccount, test_clock: str, subscription: stripe.Subscription, due: int
) -> None:
    account.advance(test_clock, due)
    account.give_card(str(subscription.customer), "pm_card_visa")
    account.advance(test_clock, due + 3 * DAY)
    good = account.again(subscription)
    assert (good.status, account.invoice(good).status, account.invoice(good).attempt_count) == ("active", "paid", 2)


def test_manual_payment_ends_the_retries(
    account: StripeAccount, test_clock: str, subscription: stripe.Subscription, due: int
) -> None:
    account.advance(test_clock, due)
    account.give_card(str(subscription.customer), "pm_card_visa")
    paid = account.v1.invoices.pay(str(account.again(subscription).latest_invoice))
    assert (paid.status, paid.next_payment_attempt) == ("paid", None)
    account.advance(test_clock, due + 20 * DAY)
    assert account.again(subscription).status == "active"
    assert len(account.events(type="invoice.payment_failed")) == 1


def test_unpaid_subscription_gets_drafts_without_collection(
    account: StripeAccount, sandbox: Sandbox, test_clock: str, subscription: stripe.Subscription, due: int
) -> None:
    settings(sandbox, after_retries="unpaid", retry_days=[1])
    account.advance(test_clock, due + 2 * MONTH)
    invoices = account.v1.invoices.list({"subscription": subscription.id}).data
    assert [(invoice.status, invoice.auto_advance) for invoice in invoices[:2]] == [("draft", False), ("open", False)]


def test_renewal_without_a_card_counts_as_a_failed_attempt(account: StripeAccount, test_clock: str) -> None:
    customer = account.on_clock(test_clock)
    subscription = account.subscribe(customer.id, account.price(3000).id)
    card = account.v1.payment_methods.list({"customer": customer.id}).data[0].id
    account.v1.payment_methods.detach(card)
    account.advance(test_clock, subscription.items.data[0].current_period_end + COLLECTED)
    late = account.again(subscription)
    assert (late.status, account.invoice(late).attempt_count) == ("past_due", 1)


def test_declined_upgrade_is_retried(account: StripeAccount, test_clock: str) -> None:
    customer = account.on_clock(test_clock)
    subscription = account.subscribe(customer.id, account.price(3000).id)
    account.give_card(customer.id, "pm_card_chargeCustomerFail")
    late = account.swap(subscription, account.price(9000).id, proration_behavior="always_invoice")
    assert late.status == "past_due"
    assert account.invoice(late).next_payment_attempt == START + 3 * DAY
    account.give_card(customer.id, "pm_card_visa")
    account.advance(test_clock, START + 3 * DAY)
    assert (account.again(late).status, account.invoice(late).status) == ("active", "paid")


def test_declined_upgrade_without_retries_changes_nothing(
    account: StripeAccount, sandbox: Sandbox, test_clock: str
) -> None:
    settings(sandbox, retry_days=[])
    customer = account.on_clock(test_clock)
    subscription = account.subscribe(customer.id, account.price(3000).id)
    account.give_card(customer.id, "pm_card_chargeCustomerFail")
    ended = account.swap(subscription, account.price(9000).id, proration_behavior="always_invoice")
    assert (ended.status, ended.items.data[0].price.unit_amount) == ("canceled", 3000)
    assert account.invoice(ended).status == "open"


def test_ended_subscription_is_no_longer_collected(
    account: StripeAccount, test_clock: str, subscription: stripe.Subscription, due: int
) -> None:
    account.advance(test_clock, due)
    account.v1.subscriptions.cancel(subscription.id)
    account.give_card(str(subscription.customer), "pm_card_visa")
    account.advance(test_clock, due + 20 * DAY)
    assert account.invoice(account.again(subscription)).status == "open"


def test_credit_of_ended_subscription_becomes_uncollectible(account: StripeAccount, test_clock: str) -> None:
    customer = account.on_clock(test_clock)
    subscription = account.subscribe(customer.id, account.price(3000).id)
    ended = account.v1.subscriptions.cancel(subscription.id, {"prorate": True, "invoice_now": True})
    account.advance(test_clock, START + COLLECTED)
    assert (account.invoice(ended).status, account.invoice(ended).total) == ("uncollectible", -3000)
    assert account.v1.customers.retrieve(customer.id).balance == 0


def test_deleted_customers_draft_stays_a_draft_despite_auto_advance(
    account: StripeAccount, test_clock: str, subscription: stripe.Subscription, due: int
) -> None:
    account.advance(test_clock, due - 10)
    draft = str(account.again(subscription).latest_invoice)
    account.v1.customers.delete(str(subscription.customer))
    account.v1.invoices.update(draft, {"auto_advance": True})
    account.advance(test_clock, due + DAY)
    assert account.v1.invoices.retrieve(draft).status == "draft"


def test_deleted_customers_draft_is_not_collected(
    account: StripeAccount, test_clock: str, subscription: stripe.Subscription, due: int
) -> None:
    account.advance(test_clock, due - 10)
    account.v1.customers.delete(str(subscription.customer))
    account.advance(test_clock, due + DAY)
    assert account.invoice(account.again(subscription)).status == "draft"


@pytest.mark.parametrize(
    "invalid", [{"retry_days": [0]}, {"retry_days": 3}, {"after_retries": "paused"}, {"upcoming_days": True}, {"x": 1}]
)
def test_invalid_settings_are_refused(sandbox: Sandbox, invalid: Any) -> None:
    before = requests.get(f"{sandbox.url}/_sandbox/settings", timeout=5).json()
    assert settings(sandbox, **invalid).status_code == 400
    assert requests.get(f"{sandbox.url}/_sandbox/settings", timeout=5).json() == before


def test_upcoming_notice_is_sent_as_early_as_the_settings_say(
    account: StripeAccount, sandbox: Sandbox, test_clock: str
) -> None:
    settings(sandbox, upcoming_days=7)
    subscription = account.subscribe(account.on_clock(test_clock).id, account.price(3000).id)
    account.advance(test_clock, START + MONTH)
    (notice,) = account.events(type="invoice.upcoming")
    assert notice.created == subscription.items.data[0].current_period_end - 7 * DAY


def test_upcoming_notice_shows_ten_lines(account: StripeAccount, test_clock: str) -> None:
    customer = account.on_clock(test_clock).id
    subscription = account.subscribe(customer, account.price(3000).id).id
    item: Any = {"customer": customer, "subscription": subscription, "currency": "usd", "amount": 1}
    for _ in range(10):
        account.v1.invoice_items.create(item)
    account.advance(test_clock, START + MONTH)
    (notice,) = account.events(type="invoice.upcoming")
    lines = notice.data.object["lines"]
    assert (len(lines.data), lines.has_more) == (10, True)
