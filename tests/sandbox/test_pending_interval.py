"""Pending items of a yearly subscription are invoiced each month."""

from datetime import UTC, datetime
from typing import Any

from tests.support.clock import MONTH, START
from tests.support.stripe_account import StripeAccount

MONTHLY: Any = {"pending_invoice_item_interval": {"interval": "month"}}


def test_pending_items_of_a_year_are_invoiced_after_a_month(account: StripeAccount) -> None:
    clock = account.test_clock()
    yearly = account.price(12000, interval="year")
    subscription = account.subscribe(account.on_clock(clock).id, yearly.id)
    changed = account.v1.subscriptions.update(subscription.id, MONTHLY)
    assert changed.next_pending_invoice_item_invoice is not None
    item: Any = {"id": subscription.items.data[0].id, "quantity": 2}
    account.v1.subscriptions.update(subscription.id, {"items": [item]})
    account.advance(clock, START + MONTH + 86400)
    invoices = account.v1.invoices.list({"subscription": subscription.id}).data
    assert invoices[0].billing_reason == "automatic_pending_invoice_item_invoice"
    assert (invoices[0].total, len(invoices)) == (12000, 2)
    account.advance(clock, START + 2 * MONTH + 86400)
    assert len(account.v1.invoices.list({"subscription": subscription.id}).data) == 2


def test_interval_keeps_its_day_after_a_short_month(account: StripeAccount) -> None:
    begins, march = (int(datetime(2027, *day, tzinfo=UTC).timestamp()) for day in ((1, 30), (3, 30)))
    clock = account.test_clock(begins)
    subscription = account.subscribe(account.on_clock(clock).id, account.price(12000, interval="year").id)
    account.v1.subscriptions.update(subscription.id, MONTHLY)
    account.advance(clock, march - 86400)
    assert account.again(subscription).next_pending_invoice_item_invoice == march


def test_the_interval_can_be_cleared(account: StripeAccount) -> None:
    subscription = account.subscribe(account.customer().id, account.price(3000).id)
    account.v1.subscriptions.update(subscription.id, MONTHLY)
    cleared = account.v1.subscriptions.update(subscription.id, {"pending_invoice_item_interval": ""})
    assert (cleared.pending_invoice_item_interval, cleared.next_pending_invoice_item_invoice) == (None, None)
