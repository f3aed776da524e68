"""Periods, renewal invoices and upcoming events as time passes on a test clock."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from gateway.sandbox.billing.invoicing import DRAFT_SECONDS
from tests.support.clock import DAY, MONTH, START
from tests.support.stripe_account import StripeAccount, plain


def at(text: str) -> int:
    """Return the unix seconds of a UTC date."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def test_renewal_is_drafted_at_period_end_and_paid_an_hour_later(account: StripeAccount) -> None:
    clock = account.test_clock()
    subscription = account.subscribe(account.on_clock(clock).id, account.price(3000).id)
    end = subscription.items.data[0].current_period_end

    account.advance(clock, end)
    renewed = account.again(subscription)
    draft = account.invoice(renewed)
    assert (draft.status, draft.billing_reason, draft.total) == ("draft", "subscription_cycle", 3000)
    assert (draft.period_start, draft.period_end) == (START, end)
    assert draft.lines.data[0].period.start == renewed.items.data[0].current_period_start == end
    assert draft.next_payment_attempt == end + DRAFT_SECONDS

    account.advance(clock, end + DRAFT_SECONDS + 1)
    paid = account.invoice(renewed)
    assert (paid.status, paid.amount_paid, paid.attempt_count) == ("paid", 3000, 1)
    assert paid.status_transitions.paid_at == end + DRAFT_SECONDS + 1


def test_each_period_is_billed_once_however_far_the_clock_advances(account: StripeAccount) -> None:
    clock = account.test_clock()
    subscription = account.subscribe(account.on_clock(clock).id, account.price(3000).id)
    account.advance(clock, START + 13 * MONTH)
    invoices = account.v1.invoices.list({"subscription": subscription.id, "limit": 100}).data
    periods = sorted((line.period.start, line.period.end) for invoice in invoices for line in invoice.lines.data)
    assert len(periods) == 13
    assert all(later[0] == earlier[1] for earlier, later in pairwise(periods))


@pytest.mark.parametrize(
    ("begun", "ends"),
    [
        ("2027-01-31", ["2027-02-28", "2027-03-31", "2027-04-30", "2027-05-31"]),
        ("2028-01-30", ["2028-02-29", "2028-03-30"]),
    ],
)
def test_monthly_period_ends_on_the_anchors_day_or_the_months_last(
    account: StripeAccount, begun: str, ends: list[str]
) -> None:
    clock = account.test_clock(at(begun))
    subscription = account.subscribe(account.on_clock(clock).id, account.price(3000).id)
    seen = []
    for _ in ends:
        seen.append(account.again(subscription).items.data[0].current_period_end)
        account.advance(clock, seen[-1])
    assert seen == [at(end) for end in ends]


def test_renewal_includes_pending_prorations(account: StripeAccount) -> None:
    clock = account.test_clock()
    customer = account.on_clock(clock)
    subscription = account.swap(account.subscribe(customer.id, account.price(3000).id), account.price(9000).id)
    account.advance(clock, subscription.items.data[0].current_period_end)
    draft = account.invoice(account.again(subscription))
    assert [line.amount for line in draft.lines.data] == [-3000, 9000, 9000]
    assert account.pending(customer.id) == []


def test_renewal_uses_up_customer_credit(account: StripeAccount) -> None:
    clock = account.test_clock()
    customer = account.on_clock(clock)
    account.v1.customers.update(customer.id, {"balance": -1000})
    subscription = account.subscribe(customer.id, account.price(600).id)
    account.advance(clock, START + MONTH + 2 * DRAFT_SECONDS)
    renewal = account.invoice(account.again(subscription))
    assert (renewal.starting_balance, renewal.amount_due, renewal.amount_paid) == (-400, 200, 200)
    assert account.v1.customers.retrieve(customer.id).balance == 0


def test_upcoming_event_comes_three_days_ahead_without_an_id(account: StripeAccount) -> None:
    clock = account.test_clock()
    subscription = account.subscribe(account.on_clock(clock).id, account.price(3000).id)
    account.swap(subscription, account.price(9000).id)
    end = subscription.items.data[0].current_period_end
    account.advance(clock, end - 3 * DAY - 1)
    assert account.events(type="invoice.upcoming") == []
    account.advance(clock, end + 2 * DRAFT_SECONDS)
    (event,) = account.events(type="invoice.upcoming")
    upcoming = plain(event)["data"]["object"]
    assert event.created == end - 3 * DAY
    assert "id" not in upcoming
    assert upcoming["billing_reason"] == "upcoming"
    charged = account.invoice(account.again(subscription))
    assert (upcoming["amount_due"], upcoming["next_payment_attempt"]) == (charged.amount_due, end + DRAFT_SECONDS)
    assert [line["amount"] for line in upcoming["lines"]["data"]] == [line.amount for line in charged.lines.data]


def test_ending_subscription_has_no_upcoming_event(account: StripeAccount) -> None:
    clock = account.test_clock()
    subscription = account.subscribe(account.on_clock(clock).id, account.price(3000).id)
    account.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    account.advance(clock, START + 2 * MONTH)
    assert account.events(type="invoice.upcoming") == []


def test_daily_price_renews_each_day_without_upcoming_events(account: StripeAccount) -> None:
    clock = account.test_clock()
    subscription = account.subscribe(account.on_clock(clock).id, account.price(3000, interval="day").id)
    for day in range(1, 5):
        account.advance(clock, START + day * DAY)
    assert len(account.v1.invoices.list({"subscription": subscription.id}).data) == 5
    assert account.events(type="invoice.upcoming") == []


def test_subscription_canceled_at_period_end_ends_there(account: StripeAccount) -> None:
    clock = account.test_clock()
    subscription = account.subscribe(account.on_clock(clock).id, account.price(3000).id)
    end = subscription.items.data[0].current_period_end
    account.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    account.advance(clock, end + DAY)
    ended = account.again(subscription)
    assert (ended.status, ended.ended_at, ended.canceled_at) == ("canceled", end, START)
    assert ended.cancellation_details is not None
    assert ended.cancellation_details.reason == "cancellation_requested"
    assert len(account.v1.invoices.list({"subscription": subscription.id}).data) == 1


def test_cancel_date_within_the_period_credits_the_rest(account: StripeAccount) -> None:
    clock = account.test_clock()
    customer = account.on_clock(clock)
    subscription = account.subscribe(customer.id, account.price(3000).id)
    cut = account.v1.subscriptions.update(subscription.id, {"cancel_at": START + 10 * DAY})
    assert [item.amount for item in account.pending(customer.id)] == [-2000]
    assert cut.items.data[0].current_period_end == START + 10 * DAY
    kept = account.v1.subscriptions.update(subscription.id, {"cancel_at": ""})
    assert sum(item.amount for item in account.pending(customer.id)) == 0
    assert kept.items.data[0].current_period_end == START + MONTH
    account.v1.subscriptions.update(subscription.id, {"cancel_at": START + 10 * DAY})
    account.advance(clock, START + 11 * DAY)
    ended = account.again(subscription)
    assert (ended.status, ended.ended_at) == ("canceled", START + 10 * DAY)


def test_cancel_date_in_a_later_period_lowers_its_charge(account: StripeAccount) -> None:
    clock = account.test_clock()
    subscription = account.subscribe(account.on_clock(clock).id, account.price(3100).id)
    renewal = subscription.items.data[0].current_period_end  # 21 October. The next month has 31 days.
    account.v1.subscriptions.update(subscription.id, {"cancel_at": renewal + 10 * DAY})
    account.advance(clock, renewal + 2 * DRAFT_SECONDS)
    assert account.invoice(account.again(subscription)).total == 1000
    account.advance(clock, renewal + 11 * DAY)
    assert account.again(subscription).status == "canceled"


def test_cancel_at_period_end_follows_a_restarted_period(account: StripeAccount) -> None:
    clock = account.test_clock()
    subscription = account.subscribe(account.on_clock(clock).id, account.price(3000).id)
    account.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    account.advance(clock, START + 5 * DAY)
    moved = account.v1.subscriptions.update(subscription.id, {"billing_cycle_anchor": {"type": "now"}})
    assert moved.cancel_at == moved.items.data[0].current_period_end > START + MONTH
