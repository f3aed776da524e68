"""Cards that pay, decline, or need their holder; and what that does to invoices and subscriptions."""

import pytest
import stripe

from tests.sandbox.support import Account, plain


def test_free_needs_no_card_and_is_active_at_once(account: Account) -> None:
    subscription = account.subscribe(account.customer(card=None).id, account.price(0).id)
    invoice = account.invoice(subscription)
    assert subscription.status == "active"
    assert (invoice.status, invoice.total, [line.amount for line in invoice.lines.data]) == ("paid", 0, [0])


def test_a_paid_plan_charges_its_first_invoice_at_once(account: Account) -> None:
    subscription = account.subscribe(account.customer().id, account.price(2000).id)
    invoice = account.invoice(subscription)
    assert (subscription.status, invoice.status, invoice.amount_paid) == ("active", "paid", 2000)
    assert (invoice.attempt_count, invoice.attempted, invoice.auto_advance) == (1, True, False)
    assert invoice.number is not None
    assert invoice.number.endswith("-0001")
    assert invoice.period_start == invoice.period_end == invoice.created


def test_what_waited_for_the_next_invoice_is_charged_with_the_first_one(account: Account) -> None:
    customer = account.customer()
    account.v1.invoice_items.create({"customer": customer.id, "amount": 700, "currency": "usd"})
    subscription = account.subscribe(customer.id, account.price(0).id)
    invoice = account.invoice(subscription)
    assert (subscription.status, invoice.status, invoice.amount_paid) == ("active", "paid", 700)


def test_something_due_and_no_card_creates_nothing(account: Account) -> None:
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
def test_a_first_payment_that_fails_leaves_it_incomplete(
    account: Account, card: str, attempts: int, event: str
) -> None:
    subscription = account.subscribe(account.customer(card).id, account.price(2000).id)
    invoice = account.invoice(subscription)
    assert (subscription.status, invoice.status) == ("incomplete", "open")
    assert (invoice.attempted, invoice.attempt_count) == (True, attempts)
    assert event in [told.type for told in account.events()]


@pytest.mark.parametrize(
    ("card", "code"),
    [
        ("pm_card_chargeCustomerFail", "card_declined"),
        ("pm_card_authenticationRequired", "subscription_payment_intent_requires_action"),
    ],
)
def test_error_if_incomplete_keeps_nothing(account: Account, card: str, code: str) -> None:
    customer = account.customer(card)
    price = account.price(2000)
    with pytest.raises(stripe.CardError) as refused:
        account.subscribe(customer.id, price.id, payment_behavior="error_if_incomplete")
    assert (refused.value.code, refused.value.http_status) == (code, 402)
    assert account.v1.subscriptions.list({"customer": customer.id, "status": "all"}).data == []


def test_paying_the_first_invoice_later_makes_it_active(account: Account) -> None:
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
    def intent(self, account: Account) -> str:
        customer = account.customer("pm_card_authenticationRequired")
        subscription = account.subscribe(
            customer.id, account.price(2000).id, expand=["latest_invoice.confirmation_secret"]
        )
        secret = plain(subscription)["latest_invoice"]["confirmation_secret"]["client_secret"]
        return str(secret.partition("_secret_")[0])

    def test_approving_pays_the_invoice_and_makes_it_active(self, account: Account, intent: str) -> None:
        assert account.v1.payment_intents.retrieve(intent).status == "requires_action"
        done = account.v1.payment_intents.confirm(intent)
        assert (done.status, done.amount_received) == ("succeeded", 2000)
        assert account.v1.subscriptions.list().data[0].status == "active"

    def test_another_card_may_decline(self, account: Account, intent: str) -> None:
        with pytest.raises(stripe.CardError) as refused:
            account.v1.payment_intents.confirm(intent, {"payment_method": "pm_card_chargeCustomerFail"})
        assert refused.value.error is not None
        assert refused.value.error.payment_intent is not None
        assert refused.value.error.payment_intent.status == "requires_payment_method"
        assert account.v1.subscriptions.list().data[0].status == "incomplete"

    def test_another_card_may_pay(self, account: Account, intent: str) -> None:
        assert account.v1.payment_intents.confirm(intent, {"payment_method": "pm_card_visa"}).status == "succeeded"


def test_paying_by_hand_is_an_error_when_declined_and_counts_only_if_it_is_the_first_try(account: Account) -> None:
    subscription = account.subscribe(account.customer("pm_card_chargeCustomerFail").id, account.price(2000).id)
    invoice = account.invoice(subscription)
    told = len(account.events(type="invoice.payment_failed"))
    with pytest.raises(stripe.CardError) as refused:
        account.v1.invoices.pay(invoice.id)
    assert refused.value.code == "card_declined"
    assert account.invoice(subscription).attempt_count == invoice.attempt_count == 1
    assert len(account.events(type="invoice.payment_failed")) == told + 1


def test_a_first_try_by_hand_counts(account: Account) -> None:
    customer = account.customer("pm_card_chargeCustomerFail")
    subscription = account.subscribe(customer.id, account.price(2000).id, payment_behavior="default_incomplete")
    with pytest.raises(stripe.CardError):
        account.v1.invoices.pay(account.invoice(subscription).id)
    assert account.invoice(subscription).attempt_count == 1


def test_a_card_that_declines_cannot_be_attached(account: Account) -> None:
    customer = account.customer(card=None)
    with pytest.raises(stripe.CardError) as refused:
        account.v1.payment_methods.attach("pm_card_visa_chargeDeclined", {"customer": customer.id})
    assert (refused.value.code, refused.value.http_status) == ("card_declined", 402)
    assert account.v1.customers.payment_methods.list(customer.id).data == []


def test_a_test_token_makes_a_new_card_each_time(account: Account) -> None:
    customer = account.customer(card=None)
    one, two = (account.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id}) for _ in range(2))
    assert one.id != two.id
    assert [card.id for card in account.v1.customers.payment_methods.list(customer.id).data] == [two.id, one.id]


def test_a_detached_card_is_nobodys_default_and_never_comes_back(account: Account) -> None:
    customer = account.customer()
    card = account.v1.customers.payment_methods.list(customer.id).data[0]
    account.v1.payment_methods.detach(card.id)
    settings = account.v1.customers.retrieve(customer.id).invoice_settings
    assert settings is not None
    assert settings.default_payment_method is None
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        account.v1.payment_methods.attach(card.id, {"customer": customer.id})


def test_a_default_card_must_be_the_customers_own(account: Account) -> None:
    stranger = account.customer()
    customer = account.customer(card=None)
    card = account.v1.customers.payment_methods.list(stranger.id).data[0]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.v1.customers.update(customer.id, {"invoice_settings": {"default_payment_method": card.id}})
    assert refused.value.param == "invoice_settings[default_payment_method]"


def test_a_confirmed_setup_intent_attaches_the_card(account: Account) -> None:
    customer = account.customer(card=None)
    intent = account.v1.setup_intents.create({"customer": customer.id})
    assert intent.client_secret is not None
    assert intent.client_secret.startswith(f"{intent.id}_secret_")
    done = account.v1.setup_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert (intent.status, done.status) == ("requires_payment_method", "succeeded")
    assert isinstance(done.payment_method, str)
    assert account.v1.payment_methods.retrieve(done.payment_method).customer == customer.id


def test_an_upgrade_that_is_declined_leaves_the_plan_and_goes_past_due(account: Account) -> None:
    customer = account.customer()
    subscription = account.subscribe(customer.id, account.price(1000).id)
    account.give_card(customer.id, "pm_card_chargeCustomerFail")
    after = account.swap(subscription, account.price(5000).id, proration_behavior="always_invoice")
    assert after.status == "past_due"
    assert after.items.data[0].price.unit_amount == 5000


def test_an_upgrade_with_error_if_incomplete_changes_nothing_when_declined(account: Account) -> None:
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
    def parked(self, account: Account) -> stripe.Subscription:
        customer = account.customer()
        subscription = account.subscribe(customer.id, account.price(1000).id)
        account.give_card(customer.id, "pm_card_chargeCustomerFail")
        return account.swap(
            subscription,
            account.price(5000).id,
            proration_behavior="always_invoice",
            payment_behavior="pending_if_incomplete",
        )

    def test_the_old_plan_goes_on_until_it_is_paid(self, parked: stripe.Subscription) -> None:
        assert (parked.status, parked.items.data[0].price.unit_amount) == ("active", 1000)
        assert parked.pending_update is not None
        assert parked.pending_update.expires_at == parked.created + 23 * 3600
        (item,) = parked.pending_update.subscription_items or []
        assert item.price.unit_amount == 5000

    def test_once_paid_it_takes_effect(self, account: Account, parked: stripe.Subscription) -> None:
        assert isinstance(parked.customer, str)
        account.give_card(parked.customer, "pm_card_visa")
        account.v1.invoices.pay(account.invoice(parked).id)
        after = account.v1.subscriptions.retrieve(parked.id)
        assert after.pending_update is None
        assert after.items.data[0].price.unit_amount == 5000
        assert len(account.events(type="customer.subscription.pending_update_applied")) == 1

    def test_voiding_its_invoice_calls_it_off(self, account: Account, parked: stripe.Subscription) -> None:
        voided = account.v1.invoices.void_invoice(account.invoice(parked).id)
        after = account.v1.subscriptions.retrieve(parked.id)
        assert (voided.status, voided.amount_due) == ("void", 4000)
        assert (after.pending_update, after.items.data[0].price.unit_amount) == (None, 1000)


def test_a_balance_too_small_to_charge_is_on_the_next_invoice(account: Account) -> None:
    customer = account.v1.customers.create({"balance": 4})
    account.give_card(customer.id, "pm_card_visa")
    invoice = account.invoice(account.subscribe(customer.id, account.price(1000).id))
    assert (invoice.starting_balance, invoice.total, invoice.amount_due, invoice.amount_paid) == (4, 1000, 1004, 1004)
    (moved,) = account.v1.customers.balance_transactions.list(customer.id).data
    assert (moved.amount, moved.ending_balance, moved.type) == (-4, 0, "applied_to_invoice")
