"""One-off invoices, the items they include, and how they are paid, sent and written off."""

from typing import Any

import pytest
import stripe

from tests.support.clock import MONTH, START, ManualClock
from tests.support.stripe_account import StripeAccount, plain

HOUR = 3600


def extra(account: StripeAccount, customer: str, amount: int, **more: Any) -> stripe.InvoiceItem:
    params: Any = {"customer": customer, "amount": amount, "currency": "usd"}
    return account.v1.invoice_items.create(params | more)


def draft(account: StripeAccount, customer: str, **more: Any) -> stripe.Invoice:
    params: Any = {"customer": customer, "pending_invoice_items_behavior": "include"}
    return account.v1.invoices.create(params | more)


def amounts(invoice: stripe.Invoice) -> list[int]:
    return [line.amount for line in invoice.lines.data]


def test_pending_items_are_left_out_by_default(account: StripeAccount) -> None:
    customer = account.customer()
    extra(account, customer.id, 700)
    empty = account.v1.invoices.create({"customer": customer.id})
    assert (empty.total, empty.status, empty.parent) == (0, "draft", None)
    assert empty.billing_reason == "manual"
    assert len(account.pending(customer.id)) == 1


def test_included_items_are_newest_first_and_no_longer_pending(account: StripeAccount) -> None:
    customer = account.customer()
    items = [extra(account, customer.id, amount) for amount in (700, 300)]
    invoice = draft(account, customer.id)
    assert amounts(invoice) == [300, 700]
    assert (invoice.total, invoice.amount_due) == (1000, 1000)
    assert (invoice.number, invoice.ending_balance, invoice.effective_at) == (None, None, None)
    assert account.pending(customer.id) == []
    assert account.v1.invoice_items.retrieve(items[0].id).invoice == invoice.id
    parent = plain(invoice)["lines"]["data"][0]["parent"]
    assert parent["type"] == "invoice_item_details"
    assert parent["invoice_item_details"]["invoice_item"] == items[1].id


def test_items_in_another_currency_stay_pending(account: StripeAccount) -> None:
    customer = account.customer()
    extra(account, customer.id, 700, currency="eur")
    assert amounts(draft(account, customer.id, currency="usd")) == []


def test_draft_stays_a_draft_without_auto_advance(account: StripeAccount) -> None:
    invoice = draft(account, account.customer().id)
    assert invoice.auto_advance is False
    assert (invoice.automatically_finalizes_at, invoice.next_payment_attempt) == (None, None)


def test_draft_with_auto_advance_is_finalized_after_an_hour(account: StripeAccount) -> None:
    invoice = draft(account, account.customer().id, auto_advance=True)
    assert invoice.automatically_finalizes_at == START + HOUR + 1
    assert invoice.next_payment_attempt == START + HOUR


def test_sent_invoice_is_due_later_and_not_charged(account: StripeAccount) -> None:
    sent = {"collection_method": "send_invoice", "days_until_due": 7}
    invoice = draft(account, account.customer().id, auto_advance=True, **sent)
    assert invoice.due_date == START + 7 * 86400
    assert invoice.next_payment_attempt is None
    assert invoice.automatically_finalizes_at == START + HOUR + 1


def test_due_date_requires_a_sent_invoice(account: StripeAccount) -> None:
    customer = account.customer()
    with pytest.raises(stripe.InvalidRequestError, match="You can only specify 'days_until_due' if invoice collection"):
        draft(account, customer.id, days_until_due=7)
    with pytest.raises(stripe.InvalidRequestError, match="you must specify 'days_until_due'"):
        draft(account, customer.id, collection_method="send_invoice")


def test_subscriptions_invoice_takes_only_its_own_items(account: StripeAccount, clock: ManualClock) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer.id, account.price(3000).id)
    extra(account, customer.id, 700)
    clock.now += MONTH // 3
    account.swap(subscription, account.price(6000).id)
    invoice = account.v1.invoices.create({"subscription": subscription.id, "pending_invoice_items_behavior": "include"})
    assert amounts(invoice) == [-2000, 4000]
    assert plain(invoice)["parent"]["subscription_details"]["subscription"] == subscription.id
    assert [item.amount for item in account.pending(customer.id)] == [700]


def test_customers_invoice_takes_all_pending_items(account: StripeAccount, clock: ManualClock) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer.id, account.price(3000).id)
    clock.now += MONTH // 3
    account.swap(subscription, account.price(6000).id)
    extra(account, customer.id, 700)
    assert amounts(draft(account, customer.id)) == [700, -2000, 4000]


def test_only_metadata_of_a_finalized_invoice_can_change(account: StripeAccount) -> None:
    invoices = account.v1.invoices
    customer = account.customer()
    extra(account, customer.id, 700)
    invoice = draft(account, customer.id)
    edited = invoices.update(invoice.id, {"description": "thanks", "auto_advance": True})
    assert (edited.description, edited.automatically_finalizes_at) == ("thanks", START + HOUR + 1)
    invoices.finalize_invoice(invoice.id)
    with pytest.raises(stripe.InvalidRequestError):
        invoices.update(invoice.id, {"description": "late"})
    assert plain(invoices.update(invoice.id, {"metadata": {"a": "b"}}))["metadata"] == {"a": "b"}


def test_new_description_keeps_the_finalization_time(account: StripeAccount, clock: ManualClock) -> None:
    invoice = draft(account, account.customer().id, auto_advance=True)
    clock.now += 60
    edited = account.v1.invoices.update(invoice.id, {"description": "thanks"})
    assert edited.automatically_finalizes_at == START + HOUR + 1


def test_deleted_draft_releases_its_items_and_uses_no_number(account: StripeAccount) -> None:
    invoices = account.v1.invoices
    customer = account.customer()
    item = extra(account, customer.id, 700)
    dropped = draft(account, customer.id)
    assert plain(invoices.delete(dropped.id)) == {"id": dropped.id, "object": "invoice", "deleted": True}
    assert [row.id for row in account.pending(customer.id)] == [item.id]
    kept = invoices.finalize_invoice(draft(account, customer.id).id)
    assert kept.number is not None
    assert kept.number.endswith("-0001")
    with pytest.raises(stripe.InvalidRequestError):
        invoices.retrieve(dropped.id)


@pytest.mark.parametrize("paid", [True, False])
def test_only_one_off_drafts_can_be_deleted(account: StripeAccount, *, paid: bool) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer.id, account.price(1000).id)
    if not paid:
        account.v1.subscriptions.cancel(subscription.id, {"prorate": True, "invoice_now": True})
    latest = str(account.v1.subscriptions.retrieve(subscription.id).latest_invoice)
    with pytest.raises(stripe.InvalidRequestError):
        account.v1.invoices.delete(latest)


@pytest.mark.parametrize(("asked", "advances"), [(None, False), (True, True)])
def test_finalized_invoice_is_charged_only_with_auto_advance(
    account: StripeAccount, *, asked: bool | None, advances: bool
) -> None:
    customer = account.customer()
    extra(account, customer.id, 700)
    params: Any = {} if asked is None else {"auto_advance": asked}
    opened = account.v1.invoices.finalize_invoice(draft(account, customer.id).id, params)
    assert (opened.status, opened.auto_advance) == ("open", advances)
    assert opened.next_payment_attempt == (START + HOUR if advances else None)


def test_paying_a_draft_finalizes_the_draft_first(account: StripeAccount) -> None:
    customer = account.customer()
    extra(account, customer.id, 700)
    paid = account.v1.invoices.pay(draft(account, customer.id).id)
    assert (paid.status, paid.amount_paid, paid.attempt_count) == ("paid", 700, 1)


def test_empty_invoice_is_paid_when_finalized(account: StripeAccount) -> None:
    paid = account.v1.invoices.finalize_invoice(draft(account, account.customer().id).id)
    assert (paid.status, paid.attempted, paid.attempt_count) == ("paid", True, 0)


def test_uncollectible_invoice_keeps_its_amounts(account: StripeAccount) -> None:
    customer = account.customer()
    extra(account, customer.id, 700)
    invoice = draft(account, customer.id, auto_advance=True)
    with pytest.raises(stripe.InvalidRequestError, match="This invoice isn't open"):
        account.v1.invoices.mark_uncollectible(invoice.id)
    account.v1.invoices.finalize_invoice(invoice.id)
    marked = account.v1.invoices.mark_uncollectible(invoice.id)
    assert (marked.status, marked.amount_due, marked.amount_remaining) == ("uncollectible", 700, 700)
    assert (marked.auto_advance, marked.next_payment_attempt) == (False, None)
    assert marked.status_transitions.marked_uncollectible_at == START
    assert account.events(type="invoice.marked_uncollectible")


def test_sending_a_draft_finalizes_it_and_creates_an_event(account: StripeAccount) -> None:
    customer = account.customer()
    extra(account, customer.id, 700)
    invoice = draft(account, customer.id, collection_method="send_invoice", days_until_due=30)
    sent = account.v1.invoices.send_invoice(invoice.id)
    assert sent.status == "open"
    types = [event.type for event in account.events(type="invoice.*")]
    assert types[-2:] == ["invoice.finalized", "invoice.sent"]
    with pytest.raises(stripe.InvalidRequestError, match="only manually send"):
        account.v1.invoices.send_invoice(draft(account, customer.id).id)


def test_customer_credit_lowers_the_amount_due(account: StripeAccount) -> None:
    customer = account.customer()
    adjusted = account.v1.customers.balance_transactions.create(customer.id, {"amount": -200, "currency": "usd"})
    assert (adjusted.type, adjusted.ending_balance, adjusted.invoice) == ("adjustment", -200, None)
    more = account.v1.customers.balance_transactions.create(customer.id, {"amount": -50, "currency": "usd"})
    assert more.ending_balance == -250
    extra(account, customer.id, 700)
    paid = account.v1.invoices.pay(draft(account, customer.id).id)
    assert (paid.starting_balance, paid.amount_paid, paid.ending_balance) == (-250, 450, 0)
    with pytest.raises(stripe.InvalidRequestError, match="cannot be adjusted"):
        account.v1.customers.balance_transactions.create(customer.id, {"amount": 1, "currency": "eur"})


def test_adjustment_of_another_customer_is_not_found(account: StripeAccount) -> None:
    transactions = account.v1.customers.balance_transactions
    made = transactions.create(account.customer().id, {"amount": -200, "currency": "usd"})
    with pytest.raises(stripe.InvalidRequestError, match="No such"):
        transactions.retrieve(account.customer().id, made.id)


def test_one_time_price_is_billed_by_quantity(account: StripeAccount) -> None:
    customer = account.customer()
    once = account.v1.prices.create({"currency": "usd", "unit_amount": 250, "product_data": {"name": "Setup"}})
    items = account.v1.invoice_items
    item = items.create({"customer": customer.id, "pricing": {"price": once.id}, "quantity": 2})
    assert (item.amount, item.quantity, item.description) == (500, 2, "Setup")
    assert items.update(item.id, {"quantity": 3}).amount == 750
    line = plain(draft(account, customer.id))["lines"]["data"][0]
    assert (line["amount"], line["quantity"], line["pricing"]["unit_amount_decimal"]) == (750, 3, "250")
    with pytest.raises(stripe.InvalidRequestError, match="only accepts prices with `type=one_time`"):
        items.create({"customer": customer.id, "pricing": {"price": account.price(100).id}})
    with pytest.raises(stripe.InvalidRequestError, match="already attached"):
        items.update(item.id, {"quantity": 4})


def test_frozen_fields_of_a_proration_cannot_change(account: StripeAccount, clock: ManualClock) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer.id, account.price(3000).id)
    clock.now += MONTH // 3
    account.swap(subscription, account.price(6000).id)
    credit = account.pending(customer.id)[0]
    for frozen in ({"quantity": 2}, {"amount": 1}):
        with pytest.raises(stripe.InvalidRequestError, match="cannot be changed"):
            account.v1.invoice_items.update(credit.id, frozen)  # type: ignore[arg-type]  # one of two dicts
    assert account.v1.invoice_items.update(credit.id, {"description": "sorry"}).description == "sorry"


def test_debit_on_a_manual_invoice_is_credited_by_its_line(account: StripeAccount, clock: ManualClock) -> None:
    """An item without a subscription on the same invoice must not hide the proration's line."""
    customer = account.customer()
    cheap, dear = account.price(3000), account.price(6000)
    subscription = account.subscribe(customer.id, cheap.id)
    clock.now += MONTH // 3
    account.swap(subscription, dear.id)
    extra(account, customer.id, 700)
    invoice = account.v1.invoices.pay(draft(account, customer.id).id)
    debit = next(line for line in invoice.lines.data if line.amount == 4000)
    clock.now += MONTH // 3
    account.swap(subscription, cheap.id)
    credit = plain(account.pending(customer.id)[0])
    details = credit["proration_details"]["credited_items"]["invoice_line_item_details"]
    assert (credit["amount"], details["invoice_line_items"]) == (-2000, [debit.id])
