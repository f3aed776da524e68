"""First payments of subscriptions, and the intents, charges and invoice payments that they create."""

import pytest
import stripe

from tests.support.stripe_account import StripeAccount, plain


def test_free_plan_is_active_without_a_card(account: StripeAccount) -> None:
    subscription = account.subscribe(account.customer(card=None).id, account.price(0).id)
    invoice = account.invoice(subscription)
    assert subscription.status == "active"
    assert (invoice.status, invoice.total, [line.amount for line in invoice.lines.data]) == ("paid", 0, [0])


def test_paid_plan_charges_its_first_invoice_immediately(account: StripeAccount) -> None:
    subscription = account.subscribe(account.customer().id, account.price(2000).id)
    invoice = account.invoice(subscription)
    assert (subscription.status, invoice.status, invoice.amount_paid) == ("active", "paid", 2000)
    assert (invoice.attempt_count, invoice.attempted, invoice.auto_advance) == (1, True, False)
    assert invoice.number is not None
    assert invoice.number.endswith("-0001")
    assert invoice.period_start == invoice.period_end == invoice.created


def test_first_invoice_includes_pending_items(account: StripeAccount) -> None:
    customer = account.customer()
    account.v1.invoice_items.create({"customer": customer.id, "amount": 700, "currency": "usd"})
    subscription = account.subscribe(customer.id, account.price(0).id)
    invoice = account.invoice(subscription)
    assert (subscription.status, invoice.status, invoice.amount_paid) == ("active", "paid", 700)


def test_paid_plan_without_a_card_creates_nothing(account: StripeAccount) -> None:
    customer = account.customer(card=None)
    price = account.price(2000)
    with pytest.raises(stripe.InvalidRequestError, match="no attached payment source") as refused:
        account.subscribe(customer.id, price.id)
    assert (refused.value.code, refused.value.http_status) == ("resource_missing", 400)
    assert account.v1.subscriptions.list({"customer": customer.id, "status": "all"}).data == []
    assert account.events(type="customer.subscription.*") == []


@pytest.mark.parametrize(
    ("card", "attempts", "event"),
    [
        ("pm_card_chargeCustomerFail", 1, "invoice.payment_failed"),
        ("pm_card_authenticationRequired", 0, "invoice.payment_action_required"),
    ],
)
def test_failed_first_payment_leaves_the_subscription_incomplete(
    account: StripeAccount, card: str, attempts: int, event: str
) -> None:
    subscription = account.subscribe(account.customer(card).id, account.price(2000).id)
    invoice = account.invoice(subscription)
    assert (subscription.status, invoice.status) == ("incomplete", "open")
    assert (invoice.attempted, invoice.attempt_count) == (True, attempts)
    assert event in [created.type for created in account.events()]


@pytest.mark.parametrize(
    ("card", "code"),
    [
        ("pm_card_chargeCustomerFail", "card_declined"),
        ("pm_card_authenticationRequired", "subscription_payment_intent_requires_action"),
    ],
)
def test_error_if_incomplete_stores_nothing(account: StripeAccount, card: str, code: str) -> None:
    customer = account.customer(card)
    price = account.price(2000)
    with pytest.raises(stripe.CardError) as refused:
        account.subscribe(customer.id, price.id, payment_behavior="error_if_incomplete")
    assert (refused.value.code, refused.value.http_status) == (code, 402)
    assert account.v1.subscriptions.list({"customer": customer.id, "status": "all"}).data == []


def test_paying_the_first_invoice_later_activates_the_subscription(account: StripeAccount) -> None:
    customer = account.customer("pm_card_authenticationRequired")
    subscription = account.subscribe(customer.id, account.price(2000).id, payment_behavior="default_incomplete")
    invoice = account.invoice(subscription)
    account.give_card(customer.id, "pm_card_visa")
    account.v1.invoices.pay(invoice.id)
    assert account.v1.subscriptions.retrieve(subscription.id).status == "active"
    with pytest.raises(stripe.InvalidRequestError, match="Invoice is already paid"):
        account.v1.invoices.pay(invoice.id)


class TestHolderApproval:
    @pytest.fixture
    def intent(self, account: StripeAccount) -> str:
        customer = account.customer("pm_card_authenticationRequired")
        subscription = account.subscribe(
            customer.id, account.price(2000).id, expand=["latest_invoice.confirmation_secret"]
        )
        secret = plain(subscription)["latest_invoice"]["confirmation_secret"]["client_secret"]
        return str(secret.partition("_secret_")[0])

    def test_approval_pays_the_invoice_and_activates_the_subscription(
        self, account: StripeAccount, intent: str
    ) -> None:
        assert account.v1.payment_intents.retrieve(intent).status == "requires_action"
        done = account.v1.payment_intents.confirm(intent)
        assert (done.status, done.amount_received) == ("succeeded", 2000)
        assert account.v1.subscriptions.list().data[0].status == "active"

    def test_another_card_can_decline(self, account: StripeAccount, intent: str) -> None:
        with pytest.raises(stripe.CardError) as refused:
            account.v1.payment_intents.confirm(intent, {"payment_method": "pm_card_chargeCustomerFail"})
        assert refused.value.error is not None
        assert refused.value.error.payment_intent is not None
        assert refused.value.error.payment_intent.status == "requires_payment_method"
        assert account.v1.subscriptions.list().data[0].status == "incomplete"

    def test_another_card_can_pay(self, account: StripeAccount, intent: str) -> None:
        assert account.v1.payment_intents.confirm(intent, {"payment_method": "pm_card_visa"}).status == "succeeded"


class TestPaymentObjects:
    """A finalized invoice with an amount due has an intent, and each attempt to pay it creates a charge."""

    @pytest.fixture
    def open_subscription(self, account: StripeAccount) -> stripe.Subscription:
        customer = account.customer("pm_card_chargeCustomerFail")
        return account.subscribe(customer.id, account.price(2000).id, payment_behavior="default_incomplete")

    def payment(self, account: StripeAccount, subscription: stripe.Subscription) -> stripe.InvoicePayment:
        (payment,) = account.v1.invoice_payments.list({"invoice": account.invoice(subscription).id}).data
        return payment

    def intent(self, account: StripeAccount, subscription: stripe.Subscription) -> stripe.PaymentIntent:
        return account.v1.payment_intents.retrieve(str(self.payment(account, subscription).payment.payment_intent))

    def test_intent_waits_for_a_card_from_the_start(
        self, account: StripeAccount, open_subscription: stripe.Subscription
    ) -> None:
        payment, intent = self.payment(account, open_subscription), self.intent(account, open_subscription)
        assert (payment.status, payment.amount_requested, payment.amount_paid) == ("open", 2000, None)
        assert (intent.status, intent.amount, intent.latest_charge) == ("requires_payment_method", 2000, None)
        assert intent.customer == open_subscription.customer
        assert [event.data.object.id for event in account.events(type="payment_intent.created")] == [intent.id]

    def test_success_creates_a_charge_and_a_paid_payment(self, account: StripeAccount) -> None:
        subscription = account.subscribe(account.customer().id, account.price(2000).id)
        intent, payment = self.intent(account, subscription), self.payment(account, subscription)
        assert (intent.status, intent.amount_received, intent.last_payment_error) == ("succeeded", 2000, None)
        (charge,) = account.v1.charges.list({"payment_intent": intent.id}).data
        assert charge.id == intent.latest_charge
        assert (charge.status, charge.paid, charge.amount_captured) == ("succeeded", True, 2000)
        assert charge.payment_method == intent.payment_method
        assert (payment.status, payment.amount_paid) == ("paid", 2000)
        assert payment.status_transitions.paid_at == subscription.created

    def test_each_decline_creates_a_charge_and_the_intent_names_the_last(
        self, account: StripeAccount, open_subscription: stripe.Subscription
    ) -> None:
        invoice = account.invoice(open_subscription).id
        earlier = len(account.events())
        for _ in range(2):
            with pytest.raises(stripe.CardError) as refused:
                account.v1.invoices.pay(invoice)
        intent = self.intent(account, open_subscription)
        newest, oldest = account.v1.charges.list({"customer": str(open_subscription.customer)}).data
        assert (newest.status, newest.failure_code, newest.captured) == ("failed", "card_declined", False)
        assert oldest.id != intent.latest_charge == newest.id
        error = plain(intent)["last_payment_error"]
        assert (error["code"], error["decline_code"], error["charge"]) == (
            "card_declined",
            "generic_decline",
            newest.id,
        )
        assert error["payment_method"]["card"]["last4"] == "0341"
        assert intent.payment_method is None
        answered = refused.value.json_body["error"]  # type: ignore[index]  # the response has a body
        assert answered["payment_intent"] == plain(intent)
        assert {key: answered[key] for key in error} == error
        assert [event.type for event in account.events()][earlier : earlier + 4] == [
            "charge.failed",
            "payment_intent.payment_failed",
            "invoice.updated",
            "invoice.payment_failed",
        ]

    def test_card_confirmed_in_the_browser_is_attached_when_it_pays(
        self, account: StripeAccount, open_subscription: stripe.Subscription
    ) -> None:
        intent = self.intent(account, open_subscription)
        for declining in ("pm_card_visa_chargeDeclined", "pm_card_visa_chargeDeclinedLostCard"):
            with pytest.raises(stripe.CardError):
                account.v1.payment_intents.confirm(intent.id, {"payment_method": declining})
        paid = account.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_mastercard"})
        cards = account.v1.customers.payment_methods.list(str(open_subscription.customer)).data
        assert [card.card.last4 for card in cards if card.card] == ["4444", "0341"]
        assert (paid.payment_method, paid.last_payment_error) == (cards[0].id, None)
        assert account.v1.subscriptions.retrieve(open_subscription.id).status == "active"

    def test_succeeded_intent_cannot_be_confirmed(self, account: StripeAccount) -> None:
        subscription = account.subscribe(account.customer().id, account.price(2000).id)
        with pytest.raises(stripe.InvalidRequestError) as refused:
            account.v1.payment_intents.confirm(
                self.intent(account, subscription).id, {"payment_method": "pm_card_visa"}
            )
        assert refused.value.code == "payment_intent_unexpected_state"

    def test_intent_cannot_be_confirmed_without_a_card(
        self, account: StripeAccount, open_subscription: stripe.Subscription
    ) -> None:
        with pytest.raises(stripe.InvalidRequestError, match="missing a payment method"):
            account.v1.payment_intents.confirm(self.intent(account, open_subscription).id)

    def test_voiding_the_invoice_cancels_the_intent(
        self, account: StripeAccount, open_subscription: stripe.Subscription
    ) -> None:
        account.v1.invoices.void_invoice(account.invoice(open_subscription).id)
        intent, payment = self.intent(account, open_subscription), self.payment(account, open_subscription)
        assert (intent.status, intent.cancellation_reason) == ("canceled", "void_invoice")
        assert intent.canceled_at == payment.status_transitions.canceled_at == open_subscription.created
        assert payment.status == "canceled"
        assert len(account.events(type="payment_intent.canceled")) == 1

    def test_payment_out_of_band_cancels_the_intent(
        self, account: StripeAccount, open_subscription: stripe.Subscription
    ) -> None:
        account.v1.invoices.pay(account.invoice(open_subscription).id, {"paid_out_of_band": True})
        assert self.intent(account, open_subscription).status == "canceled"
        assert self.payment(account, open_subscription).status == "canceled"
        assert account.v1.charges.list().data == []

    def test_invoice_of_zero_has_no_intent(self, account: StripeAccount) -> None:
        account.subscribe(account.customer().id, account.price(0).id)
        assert account.v1.payment_intents.list().data == []
        assert account.v1.invoice_payments.list().data == []

    def test_payment_can_be_found_by_its_intent(self, account: StripeAccount) -> None:
        one, two = (account.subscribe(account.customer().id, account.price(2000).id) for _ in range(2))
        intent = self.intent(account, one)
        found = account.v1.invoice_payments.list({"payment": {"type": "payment_intent", "payment_intent": intent.id}})
        assert [payment.invoice for payment in found.data] == [one.latest_invoice]
        assert len(account.v1.payment_intents.list({"customer": str(two.customer)}).data) == 1

    def test_charge_and_intent_can_be_expanded(self, account: StripeAccount) -> None:
        invoice = account.invoice(account.subscribe(account.customer().id, account.price(2000).id)).id
        found = plain(account.v1.invoices.retrieve(invoice, {"expand": ["payments.data.payment.payment_intent"]}))
        intent = found["payments"]["data"][0]["payment"]["payment_intent"]
        charged = plain(account.v1.payment_intents.retrieve(intent["id"], {"expand": ["latest_charge"]}))
        assert charged["latest_charge"] == plain(account.v1.charges.retrieve(intent["latest_charge"]))


def test_manual_payment_after_the_first_attempt_is_not_counted(account: StripeAccount) -> None:
    subscription = account.subscribe(account.customer("pm_card_chargeCustomerFail").id, account.price(2000).id)
    invoice = account.invoice(subscription)
    earlier = len(account.events(type="invoice.payment_failed"))
    with pytest.raises(stripe.CardError) as refused:
        account.v1.invoices.pay(invoice.id)
    assert refused.value.code == "card_declined"
    assert account.invoice(subscription).attempt_count == invoice.attempt_count == 1
    assert len(account.events(type="invoice.payment_failed")) == earlier + 1


def test_manual_payment_counts_if_it_is_the_first_attempt(account: StripeAccount) -> None:
    customer = account.customer("pm_card_chargeCustomerFail")
    subscription = account.subscribe(customer.id, account.price(2000).id, payment_behavior="default_incomplete")
    with pytest.raises(stripe.CardError):
        account.v1.invoices.pay(account.invoice(subscription).id)
    assert account.invoice(subscription).attempt_count == 1
