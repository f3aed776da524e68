"""Effects of changes that are not paid, or whose invoices and items are voided or deleted."""

from typing import Any

import pytest
import stripe

from tests.support.clock import DAY, START
from tests.support.stripe_account import StripeAccount

MIDDLE = START + 15 * DAY


@pytest.fixture
def upgraded(account: StripeAccount, test_clock: str) -> stripe.Subscription:
    """Return a subscription upgraded from 10 to 30 dollars in the middle of a 30-day month, without payment."""
    customer = account.on_clock(test_clock)
    subscription = account.subscribe(customer.id, account.price(1000).id)
    account.give_card(customer.id, "pm_card_chargeCustomerFail")
    account.advance(test_clock, MIDDLE)
    return account.swap(subscription, account.price(3000).id, proration_behavior="always_invoice")


def downgrade_prorations(account: StripeAccount, subscription: stripe.Subscription) -> list[int]:
    """Return the amounts that a change back to 10 dollars would prorate."""
    items = [{"id": subscription.items.data[0].id, "price": account.price(1000).id}]
    details = {"items": items, "proration_behavior": "always_invoice"}
    wanted: Any = {"subscription": subscription.id, "subscription_details": details}
    shown = account.v1.invoices.create_preview(wanted)
    return [line.amount for line in shown.lines.data]


def test_void_invoice_counts_as_neither_charge_nor_credit(
    account: StripeAccount, upgraded: stripe.Subscription
) -> None:
    assert upgraded.status == "past_due"
    account.v1.invoices.void_invoice(account.invoice(upgraded).id)
    assert downgrade_prorations(account, upgraded) == [-500, 500]


def test_deleted_prorations_count_as_neither_charge_nor_credit(account: StripeAccount, test_clock: str) -> None:
    customer = account.on_clock(test_clock)
    subscription = account.subscribe(customer.id, account.price(1000).id)
    account.advance(test_clock, MIDDLE)
    upgraded = account.swap(subscription, account.price(3000).id)
    for item in account.pending(customer.id):
        account.v1.invoice_items.delete(item.id)
    assert downgrade_prorations(account, upgraded) == [-500, 500]


def test_paying_for_the_latest_change_ends_past_due(account: StripeAccount, upgraded: stripe.Subscription) -> None:
    assert isinstance(upgraded.customer, str)
    account.give_card(upgraded.customer, "pm_card_visa")
    paid = account.swap(upgraded, account.price(5000).id, proration_behavior="always_invoice")
    assert (paid.status, account.invoice(paid).status) == ("active", "paid")


def test_expiring_subscription_voids_its_invoice(account: StripeAccount, test_clock: str) -> None:
    customer = account.on_clock(test_clock, "pm_card_chargeCustomerFail")
    incomplete = account.subscribe(customer.id, account.price(1000).id)
    with pytest.raises(stripe.InvalidRequestError, match="incomplete"):
        account.swap(incomplete, account.price(3000).id, proration_behavior="always_invoice")
    account.advance(test_clock, START + DAY)
    assert account.again(incomplete).status == "incomplete_expired"
    invoices = account.v1.invoices.list({"customer": customer.id}).data
    assert [invoice.status for invoice in invoices] == ["void"]


@pytest.mark.parametrize("other", [{"description": "x"}, {"cancel_at": START + DAY}])
def test_pending_update_refuses_other_parameters(
    account: StripeAccount, other: stripe.params.SubscriptionUpdateParams
) -> None:
    subscription = account.subscribe(account.customer().id, account.price(1000).id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.v1.subscriptions.update(subscription.id, {**other, "payment_behavior": "pending_if_incomplete"})
    assert refused.value.param in other


def test_moved_period_replaces_a_pending_update(account: StripeAccount, test_clock: str) -> None:
    customer = account.on_clock(test_clock)
    subscription = account.subscribe(customer.id, account.price(1000).id)
    account.give_card(customer.id, "pm_card_chargeCustomerFail")
    account.advance(test_clock, MIDDLE)
    waiting: Any = {"proration_behavior": "always_invoice", "payment_behavior": "pending_if_incomplete"}
    parked = account.swap(subscription, account.price(3000).id, **waiting)
    moved = account.v1.subscriptions.update(parked.id, {"billing_cycle_anchor": {"type": "now"}})
    assert (moved.pending_update, moved.items.data[0].current_period_start) == (None, MIDDLE)
    assert account.invoice(parked).status == "void"
