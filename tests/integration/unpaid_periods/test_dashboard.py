"""A change in Stripe's dashboard credits no more than one of ours."""

from typing import Any

import pytest

from gateway.db import jobs
from gateway.sandbox import Sandbox
from tests.integration.unpaid_periods.debtor import Debtor
from tests.support.billing_operations import job_count
from tests.support.jobs import make_due
from tests.support.reconciliation import drop_webhooks


def free_price(debtor: Debtor) -> str:
    [price] = debtor.world.stripe.v1.prices.list({"lookup_keys": ["konnect_free_usd_month"]}).data
    return price.id


def test_dashboard_downgrade_of_an_unpaid_period_only_lowers_the_debt(debtor: Debtor) -> None:
    debtor.wait(days=9)
    before = debtor.invoice().amount_remaining
    debtor.downgrade_in_dashboard(free_price(debtor))
    assert debtor.details()["requested_plan"] == "free"
    lowered = before - debtor.invoice().amount_remaining
    assert debtor.credited() == [lowered]
    assert (sum(debtor.pending()), debtor.balance()) == (0, 0)


@pytest.mark.parametrize(
    ("params", "is_lowered"),
    [({}, False), ({"prorate": True}, True), ({"prorate": True, "invoice_now": True}, True)],
)
def test_cancellation_of_an_unpaid_period_only_lowers_the_debt(debtor: Debtor, params: Any, is_lowered: bool) -> None:
    debtor.wait(days=9)
    before = debtor.invoice().amount_remaining
    debtor.world.stripe.v1.subscriptions.cancel(debtor.subscription, params)
    for _ in range(2):  # Stripe decides about a final credit when it finalizes its draft
        debtor.wait(days=0.1)
        make_due(debtor.world, jobs.WITHDRAW_FOREIGN_CREDITS)
        debtor.world.settle()
    lowered = before - debtor.invoice().amount_remaining
    assert (debtor.credited(), lowered > 0) == ([lowered] if is_lowered else [], is_lowered)
    assert (sum(debtor.pending()), debtor.balance()) == (0, 0)


def test_credit_of_a_deleted_customer_needs_no_withdrawal(debtor: Debtor, sandbox: Sandbox) -> None:
    debtor.wait(days=9)
    debtor.world.stripe.v1.subscriptions.cancel(debtor.subscription, {"prorate": True})
    debtor.wait(days=0.1)
    debtor.world.stripe.v1.customers.delete(debtor.customer)
    drop_webhooks(debtor.world, sandbox)
    make_due(debtor.world, jobs.WITHDRAW_FOREIGN_CREDITS)
    debtor.world.work()
    assert job_count(debtor.world, jobs.WITHDRAW_FOREIGN_CREDITS) == 0


@pytest.mark.parametrize("cancels", [True, False])
def test_credit_of_a_duplicate_only_lowers_the_debt(debtor: Debtor, cancels: bool) -> None:
    debtor.wait(days=9)
    v1 = debtor.world.stripe.v1
    [item] = v1.subscriptions.retrieve(debtor.subscription).items.data
    params: Any = {"customer": debtor.customer, "collection_method": "send_invoice", "days_until_due": 30}
    params["items"] = [{"price": item.price.id, "quantity": item.quantity}]
    v1.subscriptions.create(params)
    debtor.world.settle()
    before, plan = debtor.invoice().amount_remaining, debtor.details()["plan"]
    if cancels:
        v1.subscriptions.cancel(debtor.subscription, {"prorate": True})
        debtor.wait(days=0.1)  # Stripe decides about a final credit when it finalizes its draft
        make_due(debtor.world, jobs.WITHDRAW_FOREIGN_CREDITS)
        debtor.world.settle()
    else:
        debtor.downgrade_in_dashboard(free_price(debtor))
    lowered = before - debtor.invoice().amount_remaining
    assert (debtor.credited(), lowered > 0) == ([lowered], True)
    assert (sum(debtor.pending()), debtor.balance()) == (0, 0)
    assert debtor.details()["plan"] == plan


def test_cancellation_of_a_paid_period_is_credited(debtor: Debtor) -> None:
    debtor.pay()
    debtor.world.stripe.v1.subscriptions.cancel(debtor.subscription, {"prorate": True})
    debtor.world.settle()
    make_due(debtor.world, jobs.WITHDRAW_FOREIGN_CREDITS)
    debtor.world.settle()
    assert debtor.credited() == []
    assert sum(debtor.pending()) < 0


def test_credit_is_withdrawn_after_an_end_that_no_event_reported(debtor: Debtor, sandbox: Sandbox) -> None:
    debtor.wait(days=9)
    [item] = debtor.world.stripe.v1.subscriptions.retrieve(debtor.subscription).items.data
    params: Any = {"items": [{"id": item.id, "price": free_price(debtor), "quantity": 1}]}
    # Stripe deletes pending credits with the subscription, but not those on an invoice.
    params |= {"proration_behavior": "always_invoice"}
    debtor.world.stripe.v1.subscriptions.update(debtor.subscription, params)
    drop_webhooks(debtor.world, sandbox)
    debtor.world.stripe.v1.subscriptions.cancel(debtor.subscription)
    make_due(debtor.world, jobs.WITHDRAW_FOREIGN_CREDITS)
    debtor.world.work()
    assert len(debtor.credited()) == 1


@pytest.mark.parametrize(("token", "notes"), [("pm_usBankAccount", 0), ("pm_usBankAccount_insufficientFunds", 1)])
def test_credit_waits_for_the_end_of_a_bank_debit(debtor: Debtor, token: str, notes: int) -> None:
    debtor.give_bank_account(token)
    debtor.world.stripe.v1.invoices.pay(debtor.renewal)
    debtor.downgrade_in_dashboard(free_price(debtor))
    credit = sum(debtor.pending())
    assert (credit < 0, debtor.credited()) == (True, [])
    assert job_count(debtor.world, jobs.WITHDRAW_FOREIGN_CREDITS) == 0
    debtor.wait(days=8)
    make_due(debtor.world, jobs.WITHDRAW_FOREIGN_CREDITS)
    debtor.world.settle()
    assert len(debtor.credited()) == notes
    assert sum(debtor.pending()) == (0 if notes else credit)


def test_dashboard_downgrade_of_a_paid_period_is_credited(debtor: Debtor) -> None:
    debtor.pay()
    debtor.downgrade_in_dashboard(free_price(debtor))
    assert debtor.credited() == []
    assert sum(debtor.pending()) < 0


def test_own_downgrade_queues_no_job_for_foreign_credits(debtor: Debtor) -> None:
    debtor.api.ok("DELETE", "/subscription")
    debtor.world.settle()
    assert job_count(debtor.world, jobs.WITHDRAW_FOREIGN_CREDITS) == 0
