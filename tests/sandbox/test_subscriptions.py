"""Subscriptions, their items and cancellation, and requests that fail midway."""

from typing import Any

import pytest
import stripe

from gateway.sandbox import Sandbox
from gateway.sandbox.billing import invoicing
from tests.support.clock import DAY, MONTH, START, ManualClock
from tests.support.stripe_account import StripeAccount, plain


def test_period_is_a_calendar_month(account: StripeAccount, clock: ManualClock) -> None:
    clock.now = 1_801_353_600  # 31 January 2027, noon
    subscription = account.subscribe(account.customer().id, account.price(2000).id)
    item = subscription.items.data[0]
    assert (item.current_period_start, item.current_period_end) == (clock.now, clock.now + 28 * 86400)
    preview = account.v1.invoices.create_preview({"subscription": subscription.id})
    assert preview.lines.data[0].period.end == clock.now + (28 + 31) * 86400


def test_new_price_resets_a_quantity_that_is_not_given(account: StripeAccount) -> None:
    subscription = account.subscribe(account.customer().id, account.price(100).id, 5)
    item = subscription.items.data[0].id
    other = account.price(200).id
    after = account.v1.subscriptions.update(subscription.id, {"items": [{"id": item, "price": other}]})
    assert after.items.data[0].quantity == 1
    after = account.v1.subscriptions.update(subscription.id, {"items": [{"id": item, "quantity": 4}]})
    assert (after.items.data[0].quantity, after.items.data[0].price.id) == (4, other)


def test_item_without_an_id_is_added(account: StripeAccount, clock: ManualClock) -> None:
    customer = account.customer()
    base, more = account.price(3000), account.price(900, "Seats")
    subscription = account.subscribe(customer.id, base.id)
    clock.now += MONTH // 3
    after = account.v1.subscriptions.update(subscription.id, {"items": [{"price": more.id, "quantity": 2}]})
    new = after.items.data[1]
    assert (new.created, new.current_period_start) == (clock.now, START)
    assert [row.amount for row in account.pending(customer.id)] == [1200]
    listed = account.v1.subscription_items.list({"subscription": subscription.id})
    assert [item.id for item in listed.data] == [item.id for item in after.items.data]
    assert listed.url == f"/v1/subscription_items?subscription={subscription.id}"
    assert (plain(after)["plan"], plain(after)["quantity"]) == (None, None)


def test_removed_item_is_credited(account: StripeAccount, clock: ManualClock) -> None:
    customer = account.customer()
    base, more = account.price(3000), account.price(900, "Seats")
    subscription = account.v1.subscriptions.create(
        {"customer": customer.id, "items": [{"price": base.id}, {"price": more.id}]}
    )
    clock.now += MONTH // 3
    second = subscription.items.data[1].id
    after = account.v1.subscriptions.update(subscription.id, {"items": [{"id": second, "deleted": True}]})
    assert [item.price.id for item in after.items.data] == [base.id]
    assert [row.amount for row in account.pending(customer.id)] == [-600]
    first = after.items.data[0].id
    with pytest.raises(stripe.InvalidRequestError, match="at least one active plan"):
        account.v1.subscriptions.update(subscription.id, {"items": [{"id": first, "deleted": True}]})


def test_metadata_is_merged_and_an_empty_value_unsets_a_key(account: StripeAccount) -> None:
    price = account.price(0).id
    subscription = account.subscribe(account.customer().id, price, metadata={"kept": "1", "gone": "2"})
    after = account.v1.subscriptions.update(subscription.id, {"metadata": {"gone": "", "new": "3"}})
    assert plain(after)["metadata"] == {"kept": "1", "new": "3"}


class TestCancellation:
    @pytest.fixture
    def subscription(self, account: StripeAccount) -> stripe.Subscription:
        return account.subscribe(account.customer().id, account.price(1000).id)

    def test_immediate_cancellation_ends_the_subscription(
        self, account: StripeAccount, subscription: stripe.Subscription, clock: ManualClock
    ) -> None:
        clock.now += 5
        ended = account.v1.subscriptions.cancel(subscription.id)
        assert (ended.status, ended.canceled_at, ended.ended_at) == ("canceled", clock.now, clock.now)
        assert ended.latest_invoice == subscription.latest_invoice
        assert plain(ended)["items"] == plain(subscription)["items"]
        (event,) = account.events(type="customer.subscription.deleted")
        assert plain(event)["data"]["object"] == plain(ended)

    def test_cancellation_at_period_end_can_be_reversed(
        self, account: StripeAccount, subscription: stripe.Subscription
    ) -> None:
        ending = account.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
        assert (ending.status, ending.canceled_at, ending.ended_at) == ("active", START, None)
        assert ending.cancel_at == subscription.items.data[0].current_period_end
        back = account.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": False})
        assert plain(back) == plain(subscription)

    def test_pending_prorations_are_deleted_without_a_flag(
        self, account: StripeAccount, subscription: stripe.Subscription
    ) -> None:
        account.swap(subscription, account.price(2000).id)
        account.v1.subscriptions.cancel(subscription.id)
        assert account.pending(str(subscription.customer)) == []
        assert len(account.events(type="invoiceitem.deleted")) == 2

    def test_invoice_now_takes_only_the_subscriptions_own_items(
        self, account: StripeAccount, subscription: stripe.Subscription
    ) -> None:
        other = account.subscribe(str(subscription.customer), account.price(500).id)
        account.swap(other, account.price(700).id)
        account.v1.subscriptions.cancel(subscription.id, {"prorate": True, "invoice_now": True})
        assert sorted(row.amount for row in account.pending(str(subscription.customer))) == [-500, 700]


def test_changed_price_shows_in_its_subscription_items(account: StripeAccount) -> None:
    price = account.price(0)
    subscription = account.subscribe(account.customer().id, price.id)
    account.v1.prices.update(price.id, {"lookup_key": "free", "metadata": {"plan": "free"}})
    shown = account.v1.subscriptions.retrieve(subscription.id).items.data[0].price
    assert (shown.lookup_key, shown.metadata["plan"]) == ("free", "free")
    assert account.events(type="customer.subscription.updated") == []


def test_request_that_fails_midway_stores_nothing(account: StripeAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer.id, account.price(1000).id)
    dear = account.price(9000)
    before = [event.id for event in account.events()]

    def broken(*_args: Any, **_more: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(invoicing, "finalize", broken)
        with pytest.raises(stripe.APIError) as failed:
            account.swap(subscription, dear.id, proration_behavior="always_invoice")
    assert failed.value.http_status == 500
    assert plain(account.v1.subscriptions.retrieve(subscription.id)) == plain(subscription)
    assert account.pending(customer.id) == []
    assert [event.id for event in account.events()] == before
    assert plain(account.v1.customers.retrieve(customer.id)) == plain(customer) | {
        "currency": "usd",
        "next_invoice_sequence": 2,
    }


def test_proration_date_outside_the_period_is_refused(account: StripeAccount) -> None:
    subscription = account.subscribe(account.customer().id, account.price(1000).id)
    dear = account.price(9000)
    for date in (START - 1, START + MONTH + 1):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            account.swap(subscription, dear.id, proration_date=date)
        assert refused.value.param == "proration_date"


def test_same_seed_creates_the_same_ids_despite_extra_reads() -> None:
    ids = []
    for looks in range(2):
        with Sandbox(seed=7, clock=ManualClock()) as sandbox:
            account = StripeAccount(sandbox)
            for _ in range(looks):
                account.v1.customers.list()
            ids.append(account.customer().id)
    assert ids[0] == ids[1]


def test_first_period_cut_below_the_minimum_charge_needs_no_payment(account: StripeAccount) -> None:
    subscription = account.subscribe(account.customer().id, account.price(1000).id, cancel_at=START + 86_400)
    invoice = account.invoice(subscription)
    assert (subscription.status, invoice.status) == ("active", "paid")
    assert (invoice.total, invoice.amount_due, invoice.ending_balance) == (33, 0, 33)


def test_cancel_after_a_scheduled_end_keeps_its_request_time(account: StripeAccount, test_clock: str) -> None:
    subscription = account.subscribe(account.on_clock(test_clock).id, account.price(1000).id)
    asked = account.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True}).canceled_at
    account.advance(test_clock, START + DAY)
    ended = account.v1.subscriptions.cancel(subscription.id)
    assert (ended.status, ended.cancel_at, ended.cancel_at_period_end) == ("canceled", None, False)
    assert (ended.canceled_at, ended.ended_at) == (asked, START + DAY)
