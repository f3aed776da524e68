"""Smallest reproductions of the defects that the state machine in tests/stateful has found."""

from typing import Any

from tests.support.clock import DAY, START
from tests.support.json_types import Json
from tests.support.stripe_account import StripeAccount


def balance_movements(account: StripeAccount, customer: str) -> list[tuple[int, str | None]]:
    rows = account.v1.customers.balance_transactions.list(customer).data
    return [(row.amount, row.type) for row in reversed(rows)]


def update(account: StripeAccount, subscription: str, **params: Any) -> Any:
    return account.v1.subscriptions.update(subscription, params)  # type: ignore[arg-type]  # a plain dict


def test_setting_a_balance_creates_transactions(account: StripeAccount) -> None:
    customer = account.v1.customers.create({"balance": -1500})
    account.v1.customers.update(customer.id, {"balance": 700})
    account.v1.customers.update(customer.id, {"balance": 700})
    assert balance_movements(account, customer.id) == [(-1500, "initial"), (2200, "adjustment")]


def test_voiding_an_invoice_restores_the_balance_it_used(account: StripeAccount) -> None:
    customer = account.customer("pm_card_chargeCustomerFail")
    account.v1.customers.update(customer.id, {"balance": -300})
    invoice = account.invoice(account.subscribe(customer.id, account.price(1000).id))
    assert (invoice.amount_due, account.v1.customers.retrieve(customer.id).balance) == (700, 0)
    account.v1.invoices.void_invoice(invoice.id)
    assert account.v1.customers.retrieve(customer.id).balance == -300
    assert balance_movements(account, customer.id)[1:] == [
        (300, "applied_to_invoice"),
        (-300, "unapplied_from_invoice"),
    ]


def test_change_of_paused_subscription_prorates_nothing(account: StripeAccount) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer.id, account.price(1000).id)
    account.v1.subscriptions.pause(subscription.id, {"bill_for": {"unused_time_from": {"type": "none"}}})
    items: list[Json] = [{"price": account.price(500).id}]
    update(account, subscription.id, items=items, proration_behavior="always_invoice")
    assert account.pending(customer.id) == []
    assert account.v1.subscriptions.retrieve(subscription.id).latest_invoice == subscription.latest_invoice


def test_update_without_period_change_credits_nothing(account: StripeAccount) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer.id, account.price(1000).id)
    update(account, subscription.id, cancel_at=START + DAY, proration_behavior="none")
    update(account, subscription.id, metadata={"seen": "yes"})
    assert account.pending(customer.id) == []


def test_item_added_in_a_trial_has_the_trials_period(account: StripeAccount) -> None:
    clock = account.test_clock()
    customer = account.on_clock(clock)
    price = account.price(1000, interval="day").id
    subscription = account.subscribe(customer.id, price, trial_period_days=7)
    after = update(account, subscription.id, items=[{"price": account.price(500, interval="day").id}])
    assert [item.current_period_end for item in after.items.data] == [START + 7 * DAY] * 2
    account.advance(clock, START + DAY)
    assert account.v1.subscriptions.retrieve(subscription.id).status == "trialing"


def test_credit_on_a_void_invoice_does_not_count(account: StripeAccount) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer.id, account.price(1000).id)
    account.give_card(customer.id, "pm_card_chargeCustomerFail")
    late = account.swap(subscription, account.price(3000).id, proration_behavior="always_invoice")
    account.v1.invoices.void_invoice(account.invoice(late).id)
    account.v1.subscriptions.cancel(subscription.id, {"prorate": True})
    assert [item.amount for item in account.pending(customer.id)] == [-1000]
