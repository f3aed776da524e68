"""Credit notes on open, paid and uncollectible invoices, what they change and what Stripe refuses."""

from typing import Any

import pytest
import requests
import stripe

from gateway.sandbox import Sandbox
from tests.support.clock import START
from tests.support.json_types import Json
from tests.support.stripe_account import StripeAccount, plain
from tests.support.wait import eventually
from tests.support.webhook_receiver import WebhookReceiver, endpoint


def credit(
    account: StripeAccount, invoice: stripe.Invoice, amount: int | None = None, **more: Any
) -> stripe.CreditNote:
    params: Any = {"invoice": invoice.id} | ({} if amount is None else {"amount": amount})
    return account.v1.credit_notes.create(params | more)


def again(account: StripeAccount, invoice: stripe.Invoice) -> Json:
    return plain(account.v1.invoices.retrieve(invoice.id))


def due(invoice: Json) -> tuple[object, ...]:
    return invoice["status"], invoice["amount_due"], invoice["amount_remaining"], invoice["amount_paid"]


def intent_of(account: StripeAccount, invoice: stripe.Invoice) -> stripe.PaymentIntent:
    (payment,) = account.v1.invoice_payments.list({"invoice": invoice.id}).data
    assert isinstance(payment.payment.payment_intent, str)
    intent = account.v1.payment_intents.retrieve(payment.payment.payment_intent)
    assert payment.amount_requested == intent.amount
    return intent


@pytest.fixture
def unpaid(account: StripeAccount) -> stripe.Invoice:
    """Return an open invoice of 3 x 10.00."""
    customer = account.customer("pm_card_chargeCustomerFail")
    return account.invoice(account.subscribe(customer.id, account.price(1000).id, quantity=3))


@pytest.fixture
def paid(account: StripeAccount) -> stripe.Invoice:
    """Return a paid invoice of 30.00."""
    return account.invoice(account.subscribe(account.customer().id, account.price(3000).id))


def test_note_on_an_open_invoice_lowers_what_is_due(account: StripeAccount, unpaid: stripe.Invoice) -> None:
    note = credit(account, unpaid, 500, reason="duplicate", memo="Sorry", metadata={"a": "b"}, effective_at=START - 9)
    assert (note.type, note.pre_payment_amount, note.post_payment_amount) == ("pre_payment", 500, 0)
    assert (note.status, note.number, note.total) == ("issued", f"{unpaid.number}-CN-01", 500)
    assert (note.reason, note.memo, note.effective_at) == ("duplicate", "Sorry", START - 9)
    assert plain(note)["metadata"] == {"a": "b"}
    after = again(account, unpaid)
    assert due(after) == ("open", 2500, 2500, 0)
    assert (after["total"], after["pre_payment_credit_notes_amount"]) == (3000, 500)
    assert credit(account, unpaid, 100).number == f"{unpaid.number}-CN-02"


def test_reduced_invoice_charges_what_remains(account: StripeAccount, unpaid: stripe.Invoice) -> None:
    credit(account, unpaid, 500)
    assert intent_of(account, unpaid).amount == 2500
    account.give_card(str(unpaid.customer), "pm_card_visa")
    assert due(plain(account.v1.invoices.pay(unpaid.id))) == ("paid", 2500, 0, 2500)
    assert intent_of(account, unpaid).amount_received == 2500


def test_note_on_the_whole_amount_pays_without_a_charge(account: StripeAccount, unpaid: stripe.Invoice) -> None:
    subscription = account.v1.subscriptions.list({"customer": str(unpaid.customer), "status": "incomplete"}).data[0]
    credit(account, unpaid, 3000)
    after = again(account, unpaid)
    assert due(after) == ("paid", 0, 0, 0)
    assert (after["attempt_count"], after["auto_advance"]) == (1, False)
    assert after["status_transitions"]["paid_at"] == START
    assert intent_of(account, unpaid).status == "canceled"
    assert account.again(subscription).status == "active"
    assert [charge.status for charge in account.v1.charges.list({"customer": str(unpaid.customer)}).data] == ["failed"]


def test_credited_invoice_counts_no_attempt(account: StripeAccount) -> None:
    later: Any = {"payment_behavior": "default_incomplete"}
    invoice = account.invoice(account.subscribe(account.customer().id, account.price(3000).id, **later))
    credit(account, invoice, 3000)
    after = again(account, invoice)
    assert (after["status"], after["attempted"], after["attempt_count"]) == ("paid", False, 0)


def test_rest_too_small_for_a_card_moves_to_the_balance(account: StripeAccount, unpaid: stripe.Invoice) -> None:
    credit(account, unpaid, 2970)
    after = again(account, unpaid)
    assert due(after) == ("paid", 0, 0, 0)
    assert after["ending_balance"] == account.v1.customers.retrieve(str(unpaid.customer)).balance == 30


def test_note_and_its_invoice_have_events(account: StripeAccount, unpaid: stripe.Invoice) -> None:
    before = len(account.events())
    note = credit(account, unpaid, 500)
    account.v1.credit_notes.update(note.id, {"memo": "Sorry"})
    account.v1.credit_notes.void_credit_note(note.id)
    credit(account, unpaid, 3000)
    events = [plain(event) for event in account.events()[before:]]
    assert [event["type"] for event in events] == [
        "credit_note.created",
        "invoice.updated",
        "credit_note.updated",
        "credit_note.voided",
        "invoice.updated",
        "credit_note.created",
        "payment_intent.canceled",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.updated",
    ]
    previous = {"amount_due": 3000, "amount_remaining": 3000, "pre_payment_credit_notes_amount": 0}
    assert events[1]["data"]["previous_attributes"] == previous
    assert events[2]["data"]["previous_attributes"] == {"memo": None}
    assert events[7]["data"]["previous_attributes"].keys() > previous.keys() | {"status"}


def test_webhooks_deliver_credit_notes(
    account: StripeAccount, unpaid: stripe.Invoice, receiver: WebhookReceiver
) -> None:
    endpoint(account, receiver, "credit_note.created", "credit_note.voided", "invoice.updated")
    account.v1.credit_notes.void_credit_note(credit(account, unpaid, 500).id)
    eventually(lambda: len(receiver.received) == 4)
    assert sorted(receiver.types()) == [
        "credit_note.created", "credit_note.voided", "invoice.updated", "invoice.updated",
    ]  # fmt: skip


def test_void_note_makes_its_amount_due_again(account: StripeAccount, unpaid: stripe.Invoice) -> None:
    note = credit(account, unpaid, 500)
    voided = account.v1.credit_notes.void_credit_note(note.id)
    assert (voided.status, voided.voided_at) == ("void", START)
    after = again(account, unpaid)
    assert due(after) == ("open", 3000, 3000, 0)
    assert after["pre_payment_credit_notes_amount"] == 0
    assert intent_of(account, unpaid).amount == 3000
    with pytest.raises(stripe.InvalidRequestError, match="already void"):
        account.v1.credit_notes.void_credit_note(note.id)


def test_note_can_only_be_void_while_its_invoice_is_open(account: StripeAccount, unpaid: stripe.Invoice) -> None:
    note = credit(account, unpaid, 3000)
    with pytest.raises(stripe.InvalidRequestError, match="isn't open"):
        account.v1.credit_notes.void_credit_note(note.id)


def test_note_on_a_paid_invoice_credits_the_balance(account: StripeAccount, paid: stripe.Invoice) -> None:
    note = credit(account, paid, 1000, credit_amount=700, out_of_band_amount=300)
    assert (note.type, note.pre_payment_amount, note.post_payment_amount) == ("post_payment", 0, 1000)
    assert note.out_of_band_amount == 300
    after = again(account, paid)
    assert due(after) == ("paid", 3000, 0, 3000)
    assert (after["post_payment_credit_notes_amount"], after["pre_payment_credit_notes_amount"]) == (1000, 0)
    assert intent_of(account, paid).amount == 3000
    assert account.v1.customers.retrieve(str(paid.customer)).balance == -700
    (moved,) = account.v1.customers.balance_transactions.list(str(paid.customer)).data
    assert (moved.type, moved.amount, moved.credit_note) == ("credit_note", -700, note.id)
    assert note.customer_balance_transaction == moved.id


def test_note_beyond_what_is_due_credits_the_balance_that_paid(account: StripeAccount) -> None:
    customer = account.customer("pm_card_chargeCustomerFail")
    account.v1.customers.update(customer.id, {"balance": -1000})
    invoice = account.invoice(account.subscribe(customer.id, account.price(3000).id))
    assert invoice.amount_remaining == 2000
    note = credit(account, invoice, 2500, credit_amount=500)
    assert (note.type, note.pre_payment_amount, note.post_payment_amount) == ("mixed", 2000, 500)
    assert due(again(account, invoice)) == ("paid", 0, 0, 0)
    assert account.v1.customers.retrieve(customer.id).balance == -500


def test_note_on_an_uncollectible_invoice_lowers_the_debt(account: StripeAccount, unpaid: stripe.Invoice) -> None:
    account.v1.invoices.mark_uncollectible(unpaid.id)
    credit(account, unpaid, 2970)
    assert due(again(account, unpaid)) == ("uncollectible", 30, 30, 0)
    credit(account, unpaid, 30)
    assert due(again(account, unpaid)) == ("paid", 0, 0, 0)


def test_draft_and_void_invoices_cannot_be_credited(account: StripeAccount, unpaid: stripe.Invoice) -> None:
    draft = account.v1.invoices.create({"customer": str(unpaid.customer)})
    account.v1.invoices.void_invoice(unpaid.id)
    for invoice, status in ((draft, "draft"), (unpaid, "void")):
        with pytest.raises(stripe.InvalidRequestError, match=f"This invoice is {status}"):
            credit(account, invoice, 100)
    with pytest.raises(stripe.InvalidRequestError, match="No such invoice"):
        account.v1.credit_notes.create({"invoice": "in_x", "amount": 100})


def test_notes_cannot_exceed_the_invoice(account: StripeAccount, paid: stripe.Invoice) -> None:
    credit(account, paid, 2000, out_of_band_amount=2000)
    with pytest.raises(stripe.InvalidRequestError, match="more than the 1000"):
        credit(account, paid, 1001, credit_amount=1001)
    credit(account, paid, 1000, credit_amount=1000)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"amount": 100}, "must equal the post-payment amount of 100. It is 0"),
        ({"amount": 100, "credit_amount": 60, "out_of_band_amount": 50}, "It is 110"),
        ({"amount": 100, "credit_amount": -60, "out_of_band_amount": 160}, "non-negative"),
        ({"amount": 0}, "must be positive"),
        ({"amount": -5}, "must be positive"),
        ({}, "exactly one of"),
        ({"amount": 100, "refund_amount": 101}, "must equal the post-payment amount of 100. It is 101"),
        ({"amount": 100, "refunds": [{"refund": "re_1"}]}, "does not implement the parameter `refunds"),
        ({"amount": 100, "colour": "red"}, "unknown parameter: colour"),
        ({"amount": 100, "reason": "whim"}, "Invalid reason"),
    ],
)
def test_impossible_notes_are_refused_and_change_nothing(
    account: StripeAccount, paid: stripe.Invoice, more: Json, message: str
) -> None:
    before = again(account, paid)
    with pytest.raises(stripe.InvalidRequestError, match=message):
        credit(account, paid, **more)
    assert again(account, paid) == before
    assert account.v1.credit_notes.list({"invoice": paid.id}).data == []


def test_preview_shows_the_note_and_stores_nothing(account: StripeAccount, unpaid: stripe.Invoice) -> None:
    params: Any = {"invoice": unpaid.id, "amount": 500}
    before = len(account.events())
    shown = account.v1.credit_notes.preview(params)
    lines = account.v1.credit_notes.preview_lines.list(params)
    assert (shown.total, shown.type, [line.amount for line in lines.data]) == (500, "pre_payment", [500])
    assert len(account.events()) == before
    assert account.v1.credit_notes.list().data == []
    assert due(again(account, unpaid)) == ("open", 3000, 3000, 0)


def test_notes_are_listed_by_invoice_and_customer(
    account: StripeAccount, unpaid: stripe.Invoice, paid: stripe.Invoice
) -> None:
    notes = account.v1.credit_notes
    first, second = credit(account, unpaid, 100), credit(account, unpaid, 200)
    other = credit(account, paid, 100, credit_amount=100)
    assert [note.id for note in notes.list().data] == [other.id, second.id, first.id]
    assert [note.id for note in notes.list({"invoice": unpaid.id}).data] == [second.id, first.id]
    assert [note.id for note in notes.list({"customer": str(paid.customer)}).data] == [other.id]


def test_note_has_a_pdf(account: StripeAccount, sandbox: Sandbox, unpaid: stripe.Invoice) -> None:
    answer = requests.get(credit(account, unpaid, 500, memo="Sorry").pdf, timeout=5)
    assert answer.content.startswith(b"%PDF")
    assert b"$5.00" in answer.content
    assert requests.get(f"{sandbox.url}/credit_notes/cn_x/pdf", timeout=5).status_code == 404
