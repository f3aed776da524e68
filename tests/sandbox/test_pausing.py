"""Paused subscriptions, and subscriptions whose collection is paused."""

from typing import Any

import pytest
import stripe

from gateway.sandbox.billing.invoicing import DRAFT_SECONDS
from tests.support.clock import DAY, MONTH, START
from tests.support.stripe_account import StripeAccount

HALF = START + 15 * DAY


@pytest.fixture
def subscription(account: StripeAccount, test_clock: str) -> stripe.Subscription:
    made = account.subscribe(account.on_clock(test_clock).id, account.price(3000).id)
    account.advance(test_clock, HALF)
    return made


def amounts(account: StripeAccount, subscription: stripe.Subscription) -> list[int]:
    return [item.amount for item in account.pending(str(subscription.customer))]


def test_pause_credits_unused_time_and_stops_invoices(
    account: StripeAccount, test_clock: str, subscription: stripe.Subscription
) -> None:
    paused = account.v1.subscriptions.pause(subscription.id)
    assert (paused.status, amounts(account, paused)) == ("paused", [-1500])
    assert paused.status_details is not None
    assert paused.status_details.paused is not None
    assert paused.status_details.paused.subscription.type == "pause_requested"
    account.advance(test_clock, START + 3 * MONTH)
    assert account.again(subscription).status == "paused"
    assert len(account.v1.invoices.list({"subscription": subscription.id}).data) == 1


def test_pause_can_skip_the_credit_or_invoice_it_immediately(
    account: StripeAccount, subscription: stripe.Subscription
) -> None:
    account.v1.subscriptions.pause(subscription.id, {"bill_for": {"unused_time_from": {"type": "none"}}})
    assert amounts(account, subscription) == []
    clock = account.test_clock()
    other = account.subscribe(account.on_clock(clock).id, account.price(3000).id)
    account.advance(clock, HALF)
    paused = account.v1.subscriptions.pause(other.id, {"invoicing_behavior": "invoice"})
    assert (account.invoice(paused).status, account.invoice(paused).total) == ("paid", -1500)
    assert account.v1.customers.retrieve(str(other.customer)).balance == -1500


def test_resumption_starts_and_charges_a_new_period(
    account: StripeAccount, test_clock: str, subscription: stripe.Subscription
) -> None:
    account.v1.subscriptions.pause(subscription.id)
    account.advance(test_clock, START + 40 * DAY)
    resumed = account.v1.subscriptions.resume(subscription.id)
    assert (resumed.status, resumed.billing_cycle_anchor) == ("active", START + 40 * DAY)
    assert (resumed.pending_update, resumed.status_details) == (None, None)
    assert account.invoice(resumed).amount_paid == 3000 - 1500
    assert [event.type for event in account.events(types=["customer.subscription.resumed"])] == [
        "customer.subscription.resumed"
    ]


def test_resumption_in_the_old_cycle_charges_the_rest(
    account: StripeAccount, test_clock: str, subscription: stripe.Subscription
) -> None:
    account.v1.subscriptions.pause(subscription.id)
    account.advance(test_clock, START + 20 * DAY)
    resumed = account.v1.subscriptions.resume(subscription.id, {"billing_cycle_anchor": {"type": "unchanged"}})
    assert (resumed.status, resumed.items.data[0].current_period_end) == ("active", START + MONTH)
    assert amounts(account, resumed) == [1000, -1500]


@pytest.mark.parametrize(
    ("behavior", "status"), [("resume_on_payment_attempt", "past_due"), ("resume_on_payment_success", "paused")]
)
def test_declined_resumption_follows_its_payment_behavior(
    account: StripeAccount, subscription: stripe.Subscription, behavior: Any, status: str
) -> None:
    account.v1.subscriptions.pause(subscription.id)
    account.give_card(str(subscription.customer), "pm_card_chargeCustomerFail")
    assert account.v1.subscriptions.resume(subscription.id, {"payment_behavior": behavior}).status == status


def test_unpaid_resumption_expires_after_23_hours(
    account: StripeAccount, test_clock: str, subscription: stripe.Subscription
) -> None:
    account.v1.subscriptions.pause(subscription.id)
    waiting = account.v1.subscriptions.resume(subscription.id, {"payment_behavior": "resume_on_payment_success"})
    account.advance(test_clock, HALF + 23 * 3600)
    expired = account.again(subscription)
    assert (expired.status, expired.pending_update) == ("paused", None)
    assert account.invoice(waiting).status == "void"


def test_paid_resumption_makes_the_subscription_active(
    account: StripeAccount, subscription: stripe.Subscription
) -> None:
    account.v1.subscriptions.pause(subscription.id)
    waiting = account.v1.subscriptions.resume(subscription.id, {"payment_behavior": "resume_on_payment_success"})
    account.v1.invoices.pay(str(waiting.latest_invoice))
    assert account.again(subscription).status == "active"


def test_only_active_can_pause_and_only_paused_can_resume(
    account: StripeAccount, subscription: stripe.Subscription
) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        account.v1.subscriptions.resume(subscription.id)
    account.v1.subscriptions.pause(subscription.id)
    with pytest.raises(stripe.InvalidRequestError):
        account.v1.subscriptions.pause(subscription.id)
    account.v1.subscriptions.cancel(subscription.id)
    with pytest.raises(stripe.InvalidRequestError, match="No such subscription"):
        account.v1.subscriptions.resume(subscription.id)


@pytest.mark.parametrize(
    ("behavior", "status"), [("keep_as_draft", "draft"), ("void", "void"), ("mark_uncollectible", "uncollectible")]
)
def test_paused_collection_keeps_the_status_and_charges_nothing(
    account: StripeAccount, test_clock: str, subscription: stripe.Subscription, behavior: Any, status: str
) -> None:
    account.v1.subscriptions.update(subscription.id, {"pause_collection": {"behavior": behavior}})
    account.advance(test_clock, START + MONTH + 2 * DRAFT_SECONDS)
    renewed = account.again(subscription)
    assert (renewed.status, account.invoice(renewed).status) == ("active", status)
    assert account.invoice(renewed).amount_paid == 0


def test_paused_subscription_still_ends_at_its_cancel_date(
    account: StripeAccount, test_clock: str, subscription: stripe.Subscription
) -> None:
    account.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    account.v1.subscriptions.pause(subscription.id)
    account.advance(test_clock, START + MONTH)
    assert account.again(subscription).status == "canceled"


def test_collection_cannot_resume_in_the_past(account: StripeAccount, subscription: stripe.Subscription) -> None:
    paused: Any = {"behavior": "void", "resumes_at": HALF}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.v1.subscriptions.update(subscription.id, {"pause_collection": paused})
    assert refused.value.param == "pause_collection[resumes_at]"


@pytest.mark.parametrize("automatically", [True, False])
def test_collection_resumes_at_the_requested_time(
    account: StripeAccount, test_clock: str, subscription: stripe.Subscription, automatically: bool
) -> None:
    until = {"resumes_at": START + 20 * DAY} if automatically else {}
    paused: Any = {"behavior": "void", **until}
    account.v1.subscriptions.update(subscription.id, {"pause_collection": paused})
    account.advance(test_clock, START + 20 * DAY)
    if not automatically:
        account.v1.subscriptions.update(subscription.id, {"pause_collection": ""})
    assert account.again(subscription).pause_collection is None
    account.advance(test_clock, START + MONTH + 2 * DRAFT_SECONDS)
    assert account.invoice(account.again(subscription)).status == "paid"


def test_usage_is_billed_until_the_pause_but_not_during_it(account: StripeAccount, test_clock: str) -> None:
    customer = account.on_clock(test_clock)
    price = account.metered(account.meter().id)
    items: Any = [{"price": account.price(3000).id}, {"price": price.id}]
    made = account.v1.subscriptions.create({"customer": customer.id, "items": items})
    account.use(customer.id, 5)
    account.v1.subscriptions.pause(made.id, {"bill_for": {"unused_time_from": {"type": "none"}}})
    assert amounts(account, made) == [50]
    account.advance(test_clock, HALF)
    account.use(customer.id, 100)
    account.advance(test_clock, HALF + DAY)
    account.v1.subscriptions.resume(made.id)
    account.advance(test_clock, HALF + MONTH + 4 * DAY)
    assert account.invoice(account.again(made)).total == 3000


@pytest.mark.parametrize("date", [0, -(10**11), START + 90 * DAY])
def test_resumption_prorates_within_the_current_period(account: StripeAccount, date: int) -> None:
    subscription = account.subscribe(account.customer().id, account.price(3000).id)
    account.v1.subscriptions.pause(subscription.id, {"type": "subscription"})
    wanted: Any = {"billing_cycle_anchor": {"type": "unchanged"}, "proration_date": date}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.v1.subscriptions.resume(subscription.id, wanted)
    assert refused.value.param == "proration_date"
