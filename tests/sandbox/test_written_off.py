"""Renewals that are written off, voided or credited, and what their subscription makes of it."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
import stripe

from gateway.sandbox import Sandbox
from gateway.sandbox.billing.invoicing import DRAFT_SECONDS
from tests.support.clock import DAY
from tests.support.stripe_account import StripeAccount, plain

COLLECTED = DRAFT_SECONDS + 1
Settle = Callable[[StripeAccount, str], object]


def configure(sandbox: Sandbox, **wanted: Any) -> None:
    assert requests.post(f"{sandbox.url}/_sandbox/settings", json=wanted, timeout=5).status_code == 200


@pytest.fixture
def late(account: StripeAccount, test_clock: str) -> stripe.Subscription:
    """Return a subscription of 30.00 whose first renewal was declined."""
    customer = account.on_clock(test_clock)
    made = account.subscribe(customer.id, account.price(3000).id)
    account.give_card(customer.id, "pm_card_chargeCustomerFail")
    account.advance(test_clock, made.items.data[0].current_period_end + COLLECTED)
    found = account.again(made)
    assert (found.status, account.invoice(found).status) == ("past_due", "open")
    return found


def credit(account: StripeAccount, invoice: str, amount: int = 3000) -> stripe.CreditNote:
    return account.v1.credit_notes.create({"invoice": invoice, "amount": amount})


def write_off(account: StripeAccount, invoice: str) -> stripe.Invoice:
    return account.v1.invoices.mark_uncollectible(invoice)


def void(account: StripeAccount, invoice: str) -> stripe.Invoice:
    return account.v1.invoices.void_invoice(invoice)


@pytest.mark.parametrize("settle", [credit, write_off, void])
def test_settling_the_late_renewal_makes_the_subscription_active(
    account: StripeAccount, test_clock: str, late: stripe.Subscription, settle: Settle
) -> None:
    invoice = str(late.latest_invoice)
    settle(account, invoice)
    assert account.again(late).status == "active"
    after = account.v1.invoices.retrieve(invoice)
    assert (after.auto_advance, after.next_payment_attempt) == (False, None)
    account.advance(test_clock, account.standing(test_clock).frozen_time + 20 * DAY)
    assert account.v1.invoices.retrieve(invoice) == after
    update = account.events(type="customer.subscription.updated")[-1]
    assert plain(update)["data"]["previous_attributes"] == {"status": "past_due"}


def test_partial_credit_leaves_the_subscription_past_due(account: StripeAccount, late: stripe.Subscription) -> None:
    credit(account, str(late.latest_invoice), 1000)
    assert account.again(late).status == "past_due"


def test_retry_charges_the_reduced_amount(account: StripeAccount, test_clock: str, late: stripe.Subscription) -> None:
    invoice = account.invoice(late)
    credit(account, invoice.id, 1000)
    account.give_card(str(late.customer), "pm_card_visa")
    assert invoice.next_payment_attempt is not None
    account.advance(test_clock, invoice.next_payment_attempt)
    paid = account.v1.invoices.retrieve(invoice.id)
    assert (paid.status, paid.amount_paid, paid.attempt_count) == ("paid", 2000, 2)
    (charge, *_failed) = account.v1.charges.list({"customer": str(late.customer)}).data
    assert (charge.status, charge.amount) == ("succeeded", 2000)
    assert account.again(late).status == "active"


@pytest.fixture
def twice_late(
    account: StripeAccount, sandbox: Sandbox, test_clock: str, late: stripe.Subscription
) -> tuple[stripe.Subscription, str, str]:
    """Return the subscription with the ids of its two open renewals, the later one last."""
    configure(sandbox, retry_days=[], after_retries="past_due")
    account.advance(test_clock, late.items.data[0].current_period_end + COLLECTED)
    found = account.again(late)
    assert (found.status, account.invoice(found).status) == ("past_due", "open")
    return found, str(late.latest_invoice), str(found.latest_invoice)


@pytest.mark.parametrize("settle", [credit, write_off, void])
def test_settling_the_earlier_renewal_leaves_it_past_due(
    account: StripeAccount, twice_late: tuple[stripe.Subscription, str, str], settle: Settle
) -> None:
    subscription, earlier, _latest = twice_late
    settle(account, earlier)
    assert account.again(subscription).status == "past_due"


@pytest.mark.parametrize("settle", [credit, write_off])
def test_settling_the_later_renewal_makes_it_active(
    account: StripeAccount, twice_late: tuple[stripe.Subscription, str, str], settle: Settle
) -> None:
    subscription, _earlier, latest = twice_late
    settle(account, latest)
    assert account.again(subscription).status == "active"


def test_void_renewal_no_longer_decides(
    account: StripeAccount, twice_late: tuple[stripe.Subscription, str, str]
) -> None:
    subscription, earlier, latest = twice_late
    void(account, latest)
    assert account.again(subscription).status == "past_due"
    credit(account, earlier)
    assert account.again(subscription).status == "active"


def test_draft_of_the_next_renewal_does_not_decide(
    account: StripeAccount, sandbox: Sandbox, test_clock: str, late: stripe.Subscription
) -> None:
    configure(sandbox, retry_days=[], after_retries="past_due")
    account.advance(test_clock, late.items.data[0].current_period_end + 1)
    assert account.invoice(account.again(late)).status == "draft"
    credit(account, str(late.latest_invoice))
    assert account.again(late).status == "active"


@pytest.mark.parametrize("settle", [write_off, void])
def test_first_invoice_that_is_not_paid_starts_nothing(account: StripeAccount, settle: Settle) -> None:
    customer = account.customer("pm_card_chargeCustomerFail")
    subscription = account.subscribe(customer.id, account.price(3000).id)
    settle(account, str(subscription.latest_invoice))
    assert account.again(subscription).status == "incomplete"


def test_failed_retry_of_an_earlier_renewal_does_not_count(
    account: StripeAccount, sandbox: Sandbox, test_clock: str
) -> None:
    configure(sandbox, retry_days=[40, 40])
    customer = account.on_clock(test_clock)
    subscription = account.subscribe(customer.id, account.price(3000).id)
    account.give_card(customer.id, "pm_card_chargeCustomerFail")
    for _ in range(2):
        account.advance(test_clock, account.again(subscription).items.data[0].current_period_end + COLLECTED)
    late = account.again(subscription)
    credit(account, str(late.latest_invoice))
    account.advance(test_clock, account.standing(test_clock).frozen_time + 15 * DAY)
    attempts = [row.attempt_count for row in account.v1.invoices.list({"status": "open"}).data]
    assert (late.status, account.again(subscription).status, attempts) == ("past_due", "active", [2])


def test_manual_invoice_does_not_decide(account: StripeAccount, late: stripe.Subscription) -> None:
    params: Any = {"customer": str(late.customer), "amount": 500, "currency": "usd", "subscription": late.id}
    account.v1.invoice_items.create(params)
    manual = account.v1.invoices.create({"subscription": late.id, "pending_invoice_items_behavior": "include"})
    account.v1.invoices.finalize_invoice(manual.id)
    void(account, str(late.latest_invoice))
    assert account.again(late).status == "active"


def test_uncollectible_renewal_can_still_be_paid(account: StripeAccount, late: stripe.Subscription) -> None:
    invoice = str(late.latest_invoice)
    write_off(account, invoice)
    with pytest.raises(stripe.CardError):
        account.v1.invoices.pay(invoice)
    assert account.v1.invoices.retrieve(invoice).status == "uncollectible"
    account.give_card(str(late.customer), "pm_card_visa")
    paid = account.v1.invoices.pay(invoice)
    assert (paid.status, paid.amount_paid) == ("paid", 3000)


def test_uncollectible_renewal_can_be_voided(account: StripeAccount, late: stripe.Subscription) -> None:
    invoice = str(late.latest_invoice)
    write_off(account, invoice)
    assert void(account, invoice).status == "void"


def test_final_credit_that_was_never_finalized_stays_uncollectible(account: StripeAccount, test_clock: str) -> None:
    subscription = account.subscribe(account.on_clock(test_clock).id, account.price(3000).id)
    ended = account.v1.subscriptions.cancel(subscription.id, {"prorate": True, "invoice_now": True})
    account.advance(test_clock, account.standing(test_clock).frozen_time + COLLECTED)
    invoice = account.invoice(ended)
    assert invoice.status == "uncollectible"
    for call in (account.v1.invoices.pay, account.v1.invoices.void_invoice):
        with pytest.raises(stripe.InvalidRequestError, match="isn't open"):
            call(invoice.id)
    with pytest.raises(stripe.InvalidRequestError, match="more than the -3000"):
        credit(account, invoice.id, 1)


def test_update_replaces_one_whose_invoice_was_written_off(account: StripeAccount) -> None:
    subscription = account.subscribe(account.customer().id, account.price(1000).id)
    account.give_card(str(subscription.customer), "pm_card_chargeCustomerFail")
    waits: Any = {"proration_behavior": "always_invoice", "payment_behavior": "pending_if_incomplete"}
    parked = account.swap(subscription, account.price(5000).id, **waits)
    write_off(account, str(parked.latest_invoice))
    again = account.swap(subscription, account.price(9000).id, **waits)
    assert account.v1.invoices.retrieve(str(parked.latest_invoice)).status == "void"
    assert again.pending_update is not None
    assert again.latest_invoice != parked.latest_invoice


def test_credit_applies_the_update_that_waits_for_the_invoice(account: StripeAccount) -> None:
    subscription = account.subscribe(account.customer().id, account.price(1000).id)
    account.give_card(str(subscription.customer), "pm_card_chargeCustomerFail")
    dear = account.price(5000).id
    waits: Any = {"proration_behavior": "always_invoice", "payment_behavior": "pending_if_incomplete"}
    parked = account.swap(subscription, dear, **waits)
    credit(account, str(parked.latest_invoice), account.invoice(parked).amount_remaining)
    after = account.again(subscription)
    assert (after.pending_update, after.items.data[0].price.id) == (None, dear)


def test_credit_note_does_not_lower_later_prorations(account: StripeAccount) -> None:
    subscription = account.subscribe(account.customer().id, account.price(3000).id)
    params: Any = {"invoice": str(subscription.latest_invoice), "amount": 3000, "credit_amount": 3000}
    account.v1.credit_notes.create(params)
    account.v1.subscriptions.cancel(subscription.id, {"prorate": True})
    assert [row.amount for row in account.pending(str(subscription.customer))] == [-3000]
