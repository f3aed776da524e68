"""Bank debits, whose bank answers days after the attempt, and Link, which pays immediately."""

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from gateway.sandbox.billing.collection import DEBIT_DAYS
from gateway.sandbox.billing.invoicing import DRAFT_SECONDS
from tests.support.clock import DAY, START
from tests.support.stripe_account import StripeAccount, plain

ANSWERED = DEBIT_DAYS * DAY
GOOD, BAD = "pm_usBankAccount_success", "pm_usBankAccount_insufficientFunds"
IBAN = {"iban": "DE89370400440532013000"}
US = {"account_number": "000123456789", "routing_number": "110000000", "account_holder_type": "company"}


def payment_of(account: StripeAccount, subscription: stripe.Subscription) -> dict[str, Any]:
    expand: Any = {"expand": ["payments.data.payment.payment_intent"]}
    invoice = plain(account.v1.invoices.retrieve(str(subscription.latest_invoice), expand))
    (payment,) = invoice["payments"]["data"]
    return invoice | {"payment": payment["status"], "intent": payment["payment"]["payment_intent"]}


def types(account: StripeAccount) -> list[str]:
    return [event.type for event in account.events()]


def test_debit_processes_for_days_and_pays(account: StripeAccount, test_clock: str) -> None:
    subscription = account.subscribe(account.on_clock(test_clock, GOOD).id, account.price(3000).id)
    waiting = payment_of(account, subscription)
    assert subscription.status == "active"
    assert (waiting["status"], waiting["attempted"], waiting["attempt_count"]) == ("open", True, 1)
    assert (waiting["next_payment_attempt"], waiting["payment"], waiting["amount_paid"]) == (None, "open", 0)
    assert (waiting["intent"]["status"], waiting["intent"]["amount_received"]) == ("processing", 0)
    account.advance(test_clock, START + ANSWERED - 1)
    assert account.invoice(subscription).status == "open"
    account.advance(test_clock, START + ANSWERED)
    paid = payment_of(account, subscription)
    assert (paid["status"], paid["payment"], paid["intent"]["status"]) == ("paid", "paid", "succeeded")
    assert (paid["attempt_count"], paid["intent"]["amount_received"]) == (1, 3000)
    order = ["charge.pending", "payment_intent.processing", "charge.succeeded", "payment_intent.succeeded"]
    assert [kind for kind in types(account) if kind in order] == order
    assert types(account).index("invoice.paid") > types(account).index("payment_intent.succeeded")


@pytest.mark.parametrize(("token", "currency"), [(BAD, "usd"), ("pm_sepaDebit_failed_de", "eur")])
def test_failed_debit_is_past_due_and_retried(
    account: StripeAccount, test_clock: str, token: str, currency: str
) -> None:
    price = account.price(3000, currency=currency)
    subscription = account.subscribe(account.on_clock(test_clock, token).id, price.id)
    assert subscription.status == "active"
    account.advance(test_clock, START + ANSWERED)
    failed = payment_of(account, subscription)
    assert account.again(subscription).status == "past_due"
    assert (failed["status"], failed["next_payment_attempt"]) == ("open", START + ANSWERED + 3 * DAY)
    assert failed["intent"]["status"] == "requires_payment_method"
    kind = "us_bank_account" if currency == "usd" else "sepa_debit"
    assert failed["intent"]["last_payment_error"]["payment_method"]["type"] == kind
    assert types(account).count("invoice.payment_failed") == 1
    account.give_card(str(subscription.customer), "pm_card_visa")
    account.advance(test_clock, START + ANSWERED + 3 * DAY)
    assert (account.again(subscription).status, account.invoice(subscription).status) == ("active", "paid")


def test_debit_that_always_fails_ends_the_subscription(account: StripeAccount, test_clock: str) -> None:
    subscription = account.subscribe(account.on_clock(test_clock, BAD).id, account.price(3000, interval="year").id)
    account.advance(test_clock, START + 60 * DAY)
    ended = account.again(subscription)
    assert (ended.status, account.invoice(ended).attempt_count) == ("canceled", 4)


def test_renewal_by_debit_keeps_the_subscription_active(account: StripeAccount, test_clock: str) -> None:
    subscription = account.subscribe(account.on_clock(test_clock).id, account.price(3000).id)
    account.give_card(str(subscription.customer), GOOD)
    due = subscription.items.data[0].current_period_end + DRAFT_SECONDS + 1
    account.advance(test_clock, due)
    renewed = account.again(subscription)
    assert (renewed.status, payment_of(account, renewed)["intent"]["status"]) == ("active", "processing")
    account.advance(test_clock, due + ANSWERED)
    assert (account.again(subscription).status, account.invoice(renewed).status) == ("active", "paid")


@pytest.mark.parametrize("token", [GOOD, BAD])
def test_update_by_debit_takes_effect_before_the_bank_answers(
    account: StripeAccount, test_clock: str, token: str
) -> None:
    subscription = account.subscribe(account.on_clock(test_clock).id, account.price(1000).id)
    account.give_card(str(subscription.customer), token)
    dear = account.price(9000).id
    changed = account.swap(subscription, dear, proration_behavior="always_invoice")
    assert (changed.status, changed.items.data[0].price.id) == ("active", dear)
    assert payment_of(account, changed)["intent"]["status"] == "processing"
    account.advance(test_clock, START + ANSWERED)
    assert account.again(subscription).status == ("active" if token == GOOD else "past_due")


def test_debit_without_an_answer_stays_processing(account: StripeAccount, test_clock: str) -> None:
    made = account.subscribe(account.on_clock(test_clock, "pm_usBankAccount_processing").id, account.price(3000).id)
    account.advance(test_clock, START + 20 * DAY)
    assert payment_of(account, made)["intent"]["status"] == "processing"


def test_account_in_another_currency_is_declined(account: StripeAccount, test_clock: str) -> None:
    subscription = account.subscribe(account.on_clock(test_clock, "pm_sepaDebit").id, account.price(3000).id)
    assert subscription.status == "incomplete"
    error = payment_of(account, subscription)["intent"]["last_payment_error"]
    assert error["code"] == "payment_method_currency_mismatch"


@pytest.mark.parametrize("action", ["pay", "pay_elsewhere", "void", "write_off", "credit", "confirm"])
def test_invoice_is_left_alone_while_its_debit_processes(account: StripeAccount, customer: str, action: str) -> None:
    account.give_card(customer, GOOD)
    subscription = account.subscribe(customer, account.price(3000).id)
    invoice = account.invoice(subscription).id
    intent = payment_of(account, subscription)["intent"]["id"]
    v1 = account.v1
    actions: dict[str, Callable[[], object]] = {
        "pay": lambda: v1.invoices.pay(invoice),
        "pay_elsewhere": lambda: v1.invoices.pay(invoice, {"paid_out_of_band": True}),
        "void": lambda: v1.invoices.void_invoice(invoice),
        "write_off": lambda: v1.invoices.mark_uncollectible(invoice),
        "credit": lambda: v1.credit_notes.create({"invoice": invoice, "amount": 1000}),
        "confirm": lambda: v1.payment_intents.confirm(intent, {"payment_method": "pm_card_visa"}),
    }
    with pytest.raises(stripe.InvalidRequestError) as refused:
        actions[action]()
    assert refused.value.code == "payment_intent_unexpected_state"
    assert account.invoice(subscription).status == "open"


def test_open_invoice_can_be_paid_by_debit(account: StripeAccount, test_clock: str) -> None:
    customer = account.on_clock(test_clock, "pm_card_chargeCustomerFail")
    subscription = account.subscribe(customer.id, account.price(3000).id)
    bank = account.v1.payment_methods.attach(GOOD, {"customer": customer.id})
    paying = account.v1.invoices.pay(account.invoice(subscription).id, {"payment_method": bank.id})
    assert (paying.status, account.again(subscription).status) == ("open", "active")
    account.advance(test_clock, START + ANSWERED)
    assert account.invoice(subscription).status == "paid"


def test_debit_settles_after_the_subscription_ended(account: StripeAccount, test_clock: str) -> None:
    for token, status in ((GOOD, "paid"), (BAD, "open")):
        subscription = account.subscribe(account.on_clock(test_clock, token).id, account.price(3000).id)
        now = account.standing(test_clock).frozen_time
        account.v1.subscriptions.cancel(subscription.id)
        account.advance(test_clock, now + ANSWERED)
        invoice = account.invoice(subscription)
        assert (invoice.status, invoice.next_payment_attempt) == (status, None)
        assert account.again(subscription).status == "canceled"


@pytest.mark.parametrize(
    ("kind", "given"),
    [("us_bank_account", {"us_bank_account": US}), ("sepa_debit", {"sepa_debit": IBAN}), ("link", {})],
)
def test_every_type_is_saved_listed_and_detached(
    account: StripeAccount, customer: str, kind: str, given: dict[str, Any]
) -> None:
    methods = account.v1.payment_methods
    params: Any = {"type": kind, "billing_details": {"name": "A", "email": "a@example.test"}} | given
    made = methods.create(params)
    intent = account.v1.setup_intents.create({"customer": customer, "payment_method": made.id, "confirm": True})
    assert (intent.status, methods.retrieve(made.id).customer) == ("succeeded", customer)
    settings: Any = {"invoice_settings": {"default_payment_method": made.id}}
    account.v1.customers.update(customer, settings)
    wanted: Any = {"customer": customer, "type": kind}
    assert [method.id for method in methods.list(wanted).data] == [made.id]
    assert methods.detach(made.id).customer is None
    assert methods.list(wanted).data == []
    left = account.v1.customers.retrieve(customer).invoice_settings
    assert left is not None
    assert left.default_payment_method is None


def test_setup_intent_refuses_a_type_it_does_not_allow(account: StripeAccount, customer: str) -> None:
    intent = account.v1.setup_intents.create({"customer": customer, "allowed_payment_method_types": ["card"]})
    with pytest.raises(stripe.InvalidRequestError, match="not allowed for this SetupIntent"):
        account.v1.setup_intents.confirm(intent.id, {"payment_method": GOOD})


def test_link_pays_immediately(account: StripeAccount, customer: str) -> None:
    link = account.v1.payment_methods.create({"type": "link", "billing_details": {"email": "a@example.test"}})
    account.give_card(customer, link.id)
    subscription = account.subscribe(customer, account.price(3000).id)
    assert (subscription.status, account.invoice(subscription).status) == ("active", "paid")


def test_unknown_bank_account_is_not_implemented(account: StripeAccount) -> None:
    params: Any = {"type": "sepa_debit", "sepa_debit": {"iban": "DE00"}, "billing_details": {"name": "A"}}
    with pytest.raises(stripe.InvalidRequestError, match="only Stripe's test accounts"):
        account.v1.payment_methods.create(params)


def test_pending_update_is_not_paid_by_debit(account: StripeAccount, customer: str) -> None:
    account.give_card(customer, "pm_card_visa")
    subscription = account.subscribe(customer, account.price(1000).id)
    account.give_card(customer, "pm_card_chargeCustomerFail")
    waiting: Any = {"proration_behavior": "always_invoice", "payment_behavior": "pending_if_incomplete"}
    parked = account.swap(subscription, account.price(9000).id, **waiting)
    bank = account.v1.payment_methods.attach(GOOD, {"customer": customer})
    with pytest.raises(stripe.InvalidRequestError, match="Pending updates do not support bank debits"):
        account.v1.invoices.pay(str(parked.latest_invoice), {"payment_method": bank.id})
