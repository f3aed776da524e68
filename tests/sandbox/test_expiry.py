"""Subscriptions and pending updates that expire because they are not paid in time."""

from tests.support.clock import DAY, START
from tests.support.stripe_account import StripeAccount

HOURS_23 = 23 * 3600


def test_first_invoice_unpaid_for_23_hours_ends_the_subscription(account: StripeAccount, test_clock: str) -> None:
    customer = account.on_clock(test_clock, "pm_card_chargeCustomerFail")
    incomplete = account.subscribe(customer.id, account.price(3000).id)
    account.advance(test_clock, START + HOURS_23 - 1)
    assert account.v1.subscriptions.retrieve(incomplete.id).status == "incomplete"
    account.advance(test_clock, START + HOURS_23)
    expired = account.v1.subscriptions.retrieve(incomplete.id)
    assert (expired.status, account.invoice(expired).status) == ("incomplete_expired", "void")
    (event,) = account.events(type="customer.subscription.updated")
    assert event.data.previous_attributes is not None
    assert event.data.previous_attributes["status"] == "incomplete"


def test_pending_update_unpaid_for_23_hours_expires(account: StripeAccount, test_clock: str) -> None:
    customer = account.on_clock(test_clock)
    subscription = account.subscribe(customer.id, account.price(3000).id)
    account.give_card(customer.id, "pm_card_chargeCustomerFail")
    parked = account.swap(
        subscription,
        account.price(9000).id,
        proration_behavior="always_invoice",
        payment_behavior="pending_if_incomplete",
    )
    account.advance(test_clock, START + HOURS_23 - 1)
    assert account.v1.subscriptions.retrieve(subscription.id).pending_update is not None
    account.advance(test_clock, START + HOURS_23)
    old = account.v1.subscriptions.retrieve(subscription.id)
    assert (old.pending_update, old.items.data[0].price.unit_amount, old.status) == (None, 3000, "active")
    assert account.invoice(parked).status == "void"
    assert len(account.events(type="customer.subscription.pending_update_expired")) == 1


def test_pending_update_expires_no_later_than_its_period(account: StripeAccount, test_clock: str) -> None:
    customer = account.on_clock(test_clock)
    subscription = account.subscribe(customer.id, account.price(3000).id)
    end = subscription.items.data[0].current_period_end
    account.advance(test_clock, end - 3600)
    account.give_card(customer.id, "pm_card_chargeCustomerFail")
    parked = account.swap(
        subscription,
        account.price(900000).id,
        proration_behavior="always_invoice",
        payment_behavior="pending_if_incomplete",
    )
    assert parked.pending_update is not None
    assert parked.pending_update.expires_at == end
    account.advance(test_clock, end + DAY)
    renewed = account.v1.subscriptions.retrieve(subscription.id)
    assert (renewed.pending_update, account.invoice(renewed).total) == (None, 3000)
