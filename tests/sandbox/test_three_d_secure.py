"""Cards whose holder must approve, when they need it, and the effect of the holder's answer."""

from typing import Any

import pytest
import stripe

from tests.support.stripe_account import StripeAccount, plain

ALWAYS = "pm_card_authenticationRequired"
UNTIL_SET_UP = "pm_card_authenticationRequiredOnSetup"
SET_UP_ALREADY = "pm_card_authenticationRequiredSetupForOffSession"


def set_up(account: StripeAccount, customer: str, card: str, **more: Any) -> stripe.SetupIntent:
    params: Any = {"customer": customer, "payment_method": card, "confirm": True} | more
    return account.v1.setup_intents.create(params)


def intent_of(account: StripeAccount, subscription: stripe.Subscription) -> stripe.PaymentIntent:
    payments: Any = {"invoice": account.invoice(subscription).id}
    (payment,) = account.v1.invoice_payments.list(payments).data
    assert isinstance(payment.payment.payment_intent, str)
    return account.v1.payment_intents.retrieve(payment.payment.payment_intent)


@pytest.mark.parametrize(
    ("card", "setting_up", "attached_only", "once_set_up"),
    [
        ("pm_card_visa", "succeeded", "active", "active"),
        ("pm_card_threeDSecureOptional", "succeeded", "active", "active"),
        (SET_UP_ALREADY, "succeeded", "active", "active"),
        (UNTIL_SET_UP, "requires_action", "incomplete", "active"),
        (ALWAYS, "requires_action", "incomplete", "incomplete"),
        ("pm_card_threeDSecure2Required", "requires_action", "incomplete", "incomplete"),
    ],
)
def test_card_decides_when_its_holder_must_approve(
    account: StripeAccount, card: str, setting_up: str, attached_only: str, once_set_up: str
) -> None:
    price = account.price(2000).id
    assert account.subscribe(account.customer(card).id, price).status == attached_only
    customer = account.customer(card=None)
    intent = set_up(account, customer.id, card)
    assert intent.status == setting_up
    if intent.status == "requires_action":
        intent = account.v1.setup_intents.confirm(intent.id)
    default: Any = {"invoice_settings": {"default_payment_method": intent.payment_method}}
    account.v1.customers.update(customer.id, default)
    assert account.subscribe(customer.id, price).status == once_set_up


@pytest.mark.parametrize("card", [SET_UP_ALREADY, UNTIL_SET_UP])
def test_on_session_payment_needs_approval_even_after_setup(account: StripeAccount, card: str) -> None:
    customer = account.customer(card=None)
    intent = set_up(account, customer.id, card)
    if intent.status == "requires_action":
        intent = account.v1.setup_intents.confirm(intent.id)
    account.give_card(customer.id, str(intent.payment_method))
    subscription = account.subscribe(customer.id, account.price(2000).id, payment_behavior="default_incomplete")
    invoice = account.invoice(subscription).id
    with pytest.raises(stripe.CardError) as refused:
        account.v1.invoices.pay(invoice, {"off_session": False})
    assert refused.value.code == "invoice_payment_intent_requires_action"
    assert account.v1.invoices.pay(invoice).status == "paid"


def test_approved_payment_sets_up_the_card(account: StripeAccount) -> None:
    customer, price = account.customer(UNTIL_SET_UP), account.price(2000)
    account.v1.payment_intents.confirm(intent_of(account, account.subscribe(customer.id, price.id)).id)
    assert account.subscribe(customer.id, price.id).status == "active"
    paid = account.subscribe(customer.id, price.id, payment_behavior="error_if_incomplete")
    assert paid.status == "active"


def test_approval_request_counts_as_attempt_on_a_later_invoice(account: StripeAccount) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer.id, account.price(1000).id)
    account.swap(subscription, account.price(9000).id)
    account.give_card(customer.id, ALWAYS)
    final = account.invoice(account.v1.subscriptions.cancel(subscription.id, {"invoice_now": True}))
    assert final.billing_reason == "subscription_cycle"
    with pytest.raises(stripe.CardError):
        account.v1.invoices.pay(final.id)
    tried = account.v1.invoices.retrieve(final.id)
    assert (tried.status, tried.attempted, tried.attempt_count) == ("open", True, 1)


def test_manual_payment_reports_that_the_holder_must_approve(account: StripeAccount) -> None:
    subscription = account.subscribe(account.customer(ALWAYS).id, account.price(2000).id)
    with pytest.raises(stripe.CardError) as refused:
        account.v1.invoices.pay(account.invoice(subscription).id)
    assert (refused.value.http_status, refused.value.code) == (402, "invoice_payment_intent_requires_action")


@pytest.mark.parametrize(
    ("card", "decline_code"),
    [
        ("pm_card_authenticationRequiredChargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_card_threeDSecureRequiredChargeDeclined", "generic_decline"),
    ],
)
def test_card_can_decline_after_its_holder_approved(account: StripeAccount, card: str, decline_code: str) -> None:
    subscription = account.subscribe(account.customer(card).id, account.price(2000).id)
    intent = intent_of(account, subscription)
    with pytest.raises(stripe.CardError) as refused:
        account.v1.payment_intents.confirm(intent.id)
    error = refused.value.error
    assert error is not None
    assert error.decline_code == decline_code
    assert error.payment_intent is not None
    assert (error.payment_intent.status, error.payment_intent.payment_method) == ("requires_payment_method", None)
    assert account.invoice(subscription).attempt_count == 1


class TestSetupIntents:
    def test_card_is_attached_only_after_its_holder_approves(self, account: StripeAccount) -> None:
        customer = account.customer(card=None)
        waiting = set_up(account, customer.id, ALWAYS)
        assert plain(waiting)["next_action"]["type"] == "use_stripe_sdk"
        assert account.v1.customers.payment_methods.list(customer.id).data == []
        done = account.v1.setup_intents.confirm(waiting.id)
        assert (done.status, done.next_action, done.payment_method) == ("succeeded", None, waiting.payment_method)
        (card,) = account.v1.customers.payment_methods.list(customer.id).data
        assert card.id == done.payment_method
        assert [str(event.type) for event in account.events()][1:] == [
            "setup_intent.created",
            "setup_intent.requires_action",
            "payment_method.attached",
            "setup_intent.succeeded",
        ]

    def test_another_card_can_be_confirmed_instead(self, account: StripeAccount) -> None:
        waiting = set_up(account, account.customer(card=None).id, ALWAYS)
        done = account.v1.setup_intents.confirm(waiting.id, {"payment_method": "pm_card_visa"})
        assert (done.status, done.payment_method == waiting.payment_method) == ("succeeded", False)

    def test_return_url_redirects_the_holder_to_a_page(self, account: StripeAccount) -> None:
        customer = account.customer(card=None).id
        waiting = set_up(account, customer, ALWAYS, return_url="https://example.test/back")
        action = plain(waiting)["next_action"]
        assert action["type"] == "redirect_to_url"
        assert action["redirect_to_url"]["return_url"] == "https://example.test/back"
        with pytest.raises(stripe.InvalidRequestError) as refused:
            set_up(account, customer, ALWAYS, return_url="example.test")
        assert (refused.value.code, refused.value.param) == ("url_invalid", "return_url")

    def test_decline_is_stored_and_creates_an_event(self, account: StripeAccount) -> None:
        intent = account.v1.setup_intents.create({"customer": account.customer(card=None).id})
        with pytest.raises(stripe.CardError) as refused:
            account.v1.setup_intents.confirm(intent.id, {"payment_method": "pm_card_visa_chargeDeclined"})
        assert refused.value.error is not None
        assert refused.value.error.setup_intent is not None
        kept = account.v1.setup_intents.retrieve(intent.id)
        assert refused.value.error.setup_intent.id == kept.id
        assert kept.status == "requires_payment_method"
        assert plain(kept)["last_setup_error"]["decline_code"] == "generic_decline"
        assert len(account.events(type="setup_intent.setup_failed")) == 1

    def test_card_given_at_creation_waits_for_confirmation(self, account: StripeAccount) -> None:
        intent = account.v1.setup_intents.create({"payment_method": "pm_card_visa"})
        assert intent.status == "requires_confirmation"
        assert account.v1.setup_intents.confirm(intent.id).status == "succeeded"

    def test_canceled_setup_intent_cannot_be_confirmed(self, account: StripeAccount) -> None:
        waiting = set_up(account, account.customer(card=None).id, ALWAYS)
        canceled = account.v1.setup_intents.cancel(waiting.id)
        assert (canceled.status, canceled.next_action) == ("canceled", None)
        with pytest.raises(stripe.InvalidRequestError) as refused:
            account.v1.setup_intents.confirm(waiting.id)
        assert refused.value.code == "setup_intent_unexpected_state"
