"""A trial is one period, whatever is asked for while it runs."""

from typing import Any

import pytest
import stripe

from tests.sandbox.support import DAY, START, Account

TRIAL_END = START + 60 * DAY
"""Longer than the month that its price is for."""


def begin(account: Account, clock: str, **more: Any) -> stripe.Subscription:
    customer = account.on_clock(clock)
    return account.subscribe(customer.id, account.price(3000).id, trial_end=TRIAL_END, **more)


def periods(subscription: stripe.Subscription) -> set[tuple[int, int]]:
    return {(item.current_period_start, item.current_period_end) for item in subscription.items.data}


def test_an_end_asked_for_in_a_trial_is_the_end_of_the_trial(account: Account, test_clock: str) -> None:
    trial = account.v1.subscriptions.update(begin(account, test_clock).id, {"cancel_at_period_end": True})
    assert (trial.cancel_at, periods(trial)) == (TRIAL_END, {(START, TRIAL_END)})
    account.advance(test_clock, TRIAL_END - 1)
    assert account.again(trial).status == "trialing"
    account.advance(test_clock, TRIAL_END)
    assert account.again(trial).status == "canceled"


def test_a_trial_that_was_to_end_goes_on_as_before(account: Account, test_clock: str) -> None:
    trial = begin(account, test_clock, cancel_at_period_end=True)
    trial = account.v1.subscriptions.update(trial.id, {"cancel_at_period_end": False})
    assert periods(trial) == {(START, TRIAL_END)}
    account.advance(test_clock, TRIAL_END)
    assert account.again(trial).status == "active"


@pytest.mark.parametrize("at_once", [True, False])
def test_a_date_within_a_trial_ends_it_there(account: Account, test_clock: str, at_once: bool) -> None:
    ends = {"cancel_at": START + 10 * DAY}
    trial = begin(account, test_clock, **(ends if at_once else {}))
    trial = trial if at_once else account.v1.subscriptions.update(trial.id, {"cancel_at": START + 10 * DAY})
    assert periods(trial) == {(START, START + 10 * DAY)}
    account.advance(test_clock, START + 10 * DAY)
    assert account.again(trial).status == "canceled"


def test_items_that_come_in_a_trial_are_free_until_it_ends(account: Account, test_clock: str) -> None:
    trial = begin(account, test_clock)
    yearly = account.price(500, "Support", interval="year")
    trial = account.v1.subscriptions.update(trial.id, {"items": [{"price": yearly.id}]})
    assert periods(trial) == {(START, TRIAL_END)}
    weekly = account.price(100, interval="week")
    assert periods(account.swap(trial, weekly.id)) == {(START, TRIAL_END)}


def test_the_end_goes_along_when_the_trial_is_moved(account: Account, test_clock: str) -> None:
    trial = begin(account, test_clock, cancel_at_period_end=True)
    sooner = START + 5 * DAY
    trial = account.v1.subscriptions.update(trial.id, {"trial_end": sooner})
    assert (trial.cancel_at, periods(trial)) == (sooner, {(START, sooner)})


def test_what_was_pending_is_charged_as_a_trial_begins(account: Account, test_clock: str) -> None:
    customer = account.on_clock(test_clock)
    account.v1.invoice_items.create({"customer": customer.id, "amount": 500, "currency": "usd"})
    trial = account.subscribe(customer.id, account.price(3000).id, trial_end=TRIAL_END)
    invoice = account.invoice(trial)
    assert (trial.status, invoice.status, invoice.amount_paid) == ("trialing", "paid", 500)
