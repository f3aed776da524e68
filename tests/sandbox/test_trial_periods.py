"""A trial stays a single period, even if a request changes the subscription during it."""

from typing import Any

import pytest
import stripe

from tests.support.clock import DAY, START
from tests.support.stripe_account import StripeAccount

TRIAL_END = START + 60 * DAY
"""Later than the end of one month, the interval of the price."""


def begin(account: StripeAccount, clock: str, **more: Any) -> stripe.Subscription:
    customer = account.on_clock(clock)
    return account.subscribe(customer.id, account.price(3000).id, trial_end=TRIAL_END, **more)


def periods(subscription: stripe.Subscription) -> set[tuple[int, int]]:
    return {(item.current_period_start, item.current_period_end) for item in subscription.items.data}


def test_cancel_at_period_end_in_a_trial_ends_with_the_trial(account: StripeAccount, test_clock: str) -> None:
    trial = account.v1.subscriptions.update(begin(account, test_clock).id, {"cancel_at_period_end": True})
    assert (trial.cancel_at, periods(trial)) == (TRIAL_END, {(START, TRIAL_END)})
    account.advance(test_clock, TRIAL_END - 1)
    assert account.again(trial).status == "trialing"
    account.advance(test_clock, TRIAL_END)
    assert account.again(trial).status == "canceled"


def test_reversed_cancellation_in_a_trial_keeps_the_trial(account: StripeAccount, test_clock: str) -> None:
    trial = begin(account, test_clock, cancel_at_period_end=True)
    trial = account.v1.subscriptions.update(trial.id, {"cancel_at_period_end": False})
    assert periods(trial) == {(START, TRIAL_END)}
    account.advance(test_clock, TRIAL_END)
    assert account.again(trial).status == "active"


@pytest.mark.parametrize("immediately", [True, False])
def test_cancel_date_within_a_trial_ends_the_trial_there(
    account: StripeAccount, test_clock: str, immediately: bool
) -> None:
    ends = {"cancel_at": START + 10 * DAY}
    trial = begin(account, test_clock, **(ends if immediately else {}))
    trial = trial if immediately else account.v1.subscriptions.update(trial.id, {"cancel_at": START + 10 * DAY})
    assert periods(trial) == {(START, START + 10 * DAY)}
    account.advance(test_clock, START + 10 * DAY)
    assert account.again(trial).status == "canceled"


def test_item_added_in_a_trial_is_free_until_the_trial_ends(account: StripeAccount, test_clock: str) -> None:
    trial = begin(account, test_clock)
    yearly = account.price(500, "Support", interval="year")
    trial = account.v1.subscriptions.update(trial.id, {"items": [{"price": yearly.id}]})
    assert periods(trial) == {(START, TRIAL_END)}
    weekly = account.price(100, interval="week")
    assert periods(account.swap(trial, weekly.id)) == {(START, TRIAL_END)}


def test_cancel_date_moves_with_the_trial_end(account: StripeAccount, test_clock: str) -> None:
    trial = begin(account, test_clock, cancel_at_period_end=True)
    sooner = START + 5 * DAY
    trial = account.v1.subscriptions.update(trial.id, {"trial_end": sooner})
    assert (trial.cancel_at, periods(trial)) == (sooner, {(START, sooner)})


def test_pending_items_are_charged_when_a_trial_begins(account: StripeAccount, test_clock: str) -> None:
    customer = account.on_clock(test_clock)
    account.v1.invoice_items.create({"customer": customer.id, "amount": 500, "currency": "usd"})
    trial = account.subscribe(customer.id, account.price(3000).id, trial_end=TRIAL_END)
    invoice = account.invoice(trial)
    assert (trial.status, invoice.status, invoice.amount_paid) == ("trialing", "paid", 500)
