"""Upgrades whose payment fails, and pending updates that wait for their payment."""

import pytest
import stripe

from tests.support.stripe_account import StripeAccount, plain


def test_declined_upgrade_changes_the_plan_and_is_past_due(account: StripeAccount) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer.id, account.price(1000).id)
    account.give_card(customer.id, "pm_card_chargeCustomerFail")
    after = account.swap(subscription, account.price(5000).id, proration_behavior="always_invoice")
    assert after.status == "past_due"
    assert after.items.data[0].price.unit_amount == 5000


def test_declined_upgrade_with_error_if_incomplete_changes_nothing(account: StripeAccount) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer.id, account.price(1000).id)
    account.give_card(customer.id, "pm_card_chargeCustomerFail")
    dear = account.price(5000)
    with pytest.raises(stripe.CardError):
        account.swap(subscription, dear.id, proration_behavior="always_invoice", payment_behavior="error_if_incomplete")
    assert plain(account.v1.subscriptions.retrieve(subscription.id)) == plain(subscription)
    assert account.pending(customer.id) == []


class TestPendingUpdates:
    @pytest.fixture
    def parked(self, account: StripeAccount) -> stripe.Subscription:
        customer = account.customer()
        subscription = account.subscribe(customer.id, account.price(1000).id)
        account.give_card(customer.id, "pm_card_chargeCustomerFail")
        return account.swap(
            subscription,
            account.price(5000).id,
            proration_behavior="always_invoice",
            payment_behavior="pending_if_incomplete",
        )

    def test_old_plan_stays_until_the_update_is_paid(self, parked: stripe.Subscription) -> None:
        assert (parked.status, parked.items.data[0].price.unit_amount) == ("active", 1000)
        assert parked.pending_update is not None
        assert parked.pending_update.expires_at == parked.created + 23 * 3600
        (item,) = parked.pending_update.subscription_items or []
        assert item.price.unit_amount == 5000

    def test_paid_update_takes_effect(self, account: StripeAccount, parked: stripe.Subscription) -> None:
        assert isinstance(parked.customer, str)
        account.give_card(parked.customer, "pm_card_visa")
        account.v1.invoices.pay(account.invoice(parked).id)
        after = account.v1.subscriptions.retrieve(parked.id)
        assert after.pending_update is None
        assert after.items.data[0].price.unit_amount == 5000
        assert len(account.events(type="customer.subscription.pending_update_applied")) == 1

    def test_voiding_its_invoice_cancels_the_update(self, account: StripeAccount, parked: stripe.Subscription) -> None:
        voided = account.v1.invoices.void_invoice(account.invoice(parked).id)
        after = account.v1.subscriptions.retrieve(parked.id)
        assert (voided.status, voided.amount_due) == ("void", 4000)
        assert (after.pending_update, after.items.data[0].price.unit_amount) == (None, 1000)


def test_amount_below_the_minimum_charge_goes_to_the_next_invoice(account: StripeAccount) -> None:
    customer = account.v1.customers.create({"balance": 4})
    account.give_card(customer.id, "pm_card_visa")
    invoice = account.invoice(account.subscribe(customer.id, account.price(1000).id))
    assert (invoice.starting_balance, invoice.total, invoice.amount_due, invoice.amount_paid) == (4, 1000, 1004, 1004)
    moved = account.v1.customers.balance_transactions.list(customer.id).data
    assert [(row.amount, row.ending_balance, row.type) for row in moved] == [
        (-4, 0, "applied_to_invoice"),
        (4, 4, "initial"),
    ]


def test_charge_of_a_pending_update_can_be_credited(account: StripeAccount) -> None:
    customer = account.customer()
    cheap, dear = account.price(3000), account.price(9000)
    subscription = account.subscribe(customer.id, cheap.id)
    account.give_card(customer.id, "pm_card_chargeCustomerFail")
    parked = account.swap(
        subscription, dear.id, proration_behavior="always_invoice", payment_behavior="pending_if_incomplete"
    )
    account.give_card(customer.id, "pm_card_visa")
    account.v1.invoices.pay(str(parked.latest_invoice))
    account.swap(subscription, cheap.id)
    assert sorted(item.amount for item in account.pending(customer.id)) == [-9000, 3000]
