"""Test clocks, and the work that falls due on the sandbox's own clock."""

from typing import Any

import pytest
import stripe

from gateway.sandbox.billing import boundary
from tests.support.clock import DAY, MONTH, START, ManualClock
from tests.support.stripe_account import StripeAccount
from tests.support.wait import poll


def test_clock_stands_still_until_it_is_advanced(account: StripeAccount) -> None:
    clock = account.test_clock()
    advancing = account.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": START + DAY})
    assert advancing.status == "advancing"
    account.advance(clock, START + DAY)
    ready = account.v1.test_helpers.test_clocks.retrieve(clock)
    assert (ready.status, ready.frozen_time) == ("ready", START + DAY)
    types = [event.type for event in account.events(types=_CLOCK_EVENTS)]
    assert types == _CLOCK_EVENTS


_CLOCK_EVENTS = [f"test_helpers.test_clock.{verb}" for verb in ("created", "advancing", "ready")]


def test_objects_on_a_clock_have_its_time(account: StripeAccount) -> None:
    clock = account.test_clock(START + 400 * DAY)
    customer = account.on_clock(clock)
    subscription = account.subscribe(customer.id, account.price(3000).id)
    assert {customer.created, subscription.created} == {START + 400 * DAY}
    assert {customer.test_clock, subscription.test_clock, account.invoice(subscription).test_clock} == {clock}
    assert account.customer().created == START


def test_lists_omit_objects_on_a_clock_that_is_not_named(account: StripeAccount) -> None:
    clock = account.test_clock()
    customer = account.on_clock(clock)
    subscription = account.subscribe(customer.id, account.price(3000).id)
    assert account.v1.customers.list().data == account.v1.subscriptions.list().data == []
    assert [row.id for row in account.v1.customers.list({"test_clock": clock}).data] == [customer.id]
    for named in ({"test_clock": clock}, {"customer": customer.id}):
        assert [row.id for row in account.v1.subscriptions.list(named).data] == [subscription.id]  # type: ignore[arg-type]  # each list has its own TypedDict


@pytest.mark.parametrize("months", [-1, 0, 3])
def test_clock_advances_by_at_most_two_intervals(account: StripeAccount, months: int) -> None:
    clock = account.test_clock()
    account.subscribe(account.on_clock(clock).id, account.price(3000).id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": START + months * MONTH})
    assert refused.value.param == "frozen_time"


def test_deleting_a_clock_deletes_its_customers(account: StripeAccount) -> None:
    clock = account.test_clock()
    customer = account.on_clock(clock)
    subscription = account.subscribe(customer.id, account.price(3000).id)
    assert account.v1.test_helpers.test_clocks.delete(clock).deleted
    assert account.v1.customers.retrieve(customer.id).deleted
    assert account.v1.subscriptions.retrieve(subscription.id).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError, match="No such"):
        account.v1.test_helpers.test_clocks.retrieve(clock)


def test_sandbox_clock_renews_subscriptions_without_a_test_clock(account: StripeAccount, clock: ManualClock) -> None:
    subscription = account.subscribe(account.customer().id, account.price(3000).id)
    clock.now += 3 * MONTH
    invoices = account.v1.invoices.list({"subscription": subscription.id}).data
    assert [invoice.billing_reason for invoice in invoices] == ["subscription_cycle"] * 2 + ["subscription_create"]
    assert {invoice.status for invoice in invoices} == {"paid"}
    notices = [event.created for event in account.events(type="invoice.upcoming")]
    assert notices[:2] == [invoice.created - 3 * DAY for invoice in invoices[1::-1]]


def test_clocks_do_not_disturb_each_other(account: StripeAccount) -> None:
    slow, fast = account.test_clock(), account.test_clock()
    waiting = account.subscribe(account.on_clock(slow).id, account.price(3000).id)
    account.subscribe(account.on_clock(fast).id, account.price(3000).id)
    account.advance(fast, START + 6 * MONTH)
    assert account.v1.subscriptions.retrieve(waiting.id) == waiting


def test_event_caused_by_time_names_no_request(account: StripeAccount) -> None:
    clock = account.test_clock()
    account.subscribe(account.on_clock(clock).id, account.price(3000).id)
    account.advance(clock, START + MONTH + DAY)
    (cycle,) = [event for event in account.events(type="invoice.created") if event.created > START]
    assert cycle.request is not None
    assert (cycle.request.id, cycle.request.idempotency_key) == (None, None)


@pytest.mark.parametrize("moment", [-1, 10**12])
def test_clock_beyond_the_calendar_is_refused(account: StripeAccount, moment: int) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.test_clock(moment)
    assert refused.value.param == "frozen_time"


def test_clock_reports_an_internal_failure_and_stops(
    account: StripeAccount, test_clock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.subscribe(account.on_clock(test_clock).id, account.price(1000).id)

    def broken(*_args: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(boundary, "cross", broken)
    clocks = account.v1.test_helpers.test_clocks
    clocks.advance(test_clock, {"frozen_time": START + 40 * DAY})
    found = poll(lambda: clocks.retrieve(test_clock), lambda seen: seen.status != "advancing")
    assert (found.status, found.frozen_time) == ("internal_failure", START)
    assert len(account.events(type="test_helpers.test_clock.ready")) == 0


def test_failure_on_the_sandbox_clock_is_retried_an_hour_later(
    account: StripeAccount, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription = account.subscribe(account.customer().id, account.price(1000).id)
    attempts = []

    def broken(*_args: Any) -> None:
        attempts.append(clock.now)
        raise RuntimeError

    with monkeypatch.context() as mistake:
        mistake.setattr(boundary, "cross", broken)
        clock.now += 40 * DAY
        assert account.again(subscription).latest_invoice == subscription.latest_invoice
    assert attempts == [clock.now]
    clock.now += 3599
    assert account.again(subscription).latest_invoice == subscription.latest_invoice
    clock.now += 1
    assert account.again(subscription).latest_invoice != subscription.latest_invoice
