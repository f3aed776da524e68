"""Refunds of charges, by themselves and with credit notes."""

from typing import Any

import pytest
import stripe

from tests.support.json_types import Json
from tests.support.stripe_account import StripeAccount, plain


@pytest.fixture
def charge(account: StripeAccount, customer: str) -> stripe.Charge:
    account.subscribe(customer, account.price(1000).id)
    return account.v1.charges.list().data[0]


def told(account: StripeAccount, *prefixes: str) -> list[str]:
    return [event.type for event in account.events() if event.type.startswith(prefixes)]


def invoice_of(account: StripeAccount, charge: stripe.Charge) -> str:
    """Find the invoice that a charge paid, as a program does from a webhook."""
    payment: Any = {"type": "payment_intent", "payment_intent": charge.payment_intent}
    (found,) = account.v1.invoice_payments.list({"payment": payment}).data
    return str(found.invoice)


def test_whole_charge_is_refunded(account: StripeAccount, charge: stripe.Charge) -> None:
    refund = account.v1.refunds.create({"payment_intent": str(charge.payment_intent), "reason": "duplicate"})
    assert (refund.amount, refund.status, refund.charge, refund.reason) == (1000, "succeeded", charge.id, "duplicate")
    after = account.v1.charges.retrieve(charge.id)
    assert (after.amount_refunded, after.refunded) == (1000, True)
    assert account.v1.invoices.retrieve(invoice_of(account, charge)).status == "paid"
    assert told(account, "refund", "charge.refund") == ["refund.created", "charge.refunded"]


def test_partial_refunds_add_up(account: StripeAccount, charge: stripe.Charge) -> None:
    for amount, whole in ((300, False), (700, True)):
        account.v1.refunds.create({"charge": charge.id, "amount": amount})
        assert account.v1.charges.retrieve(charge.id).refunded is whole
    assert [refund.amount for refund in account.v1.refunds.list({"charge": charge.id}).data] == [700, 300]
    assert account.v1.refunds.list({"payment_intent": "pi_x"}).data == []


def test_metadata_of_a_refund_can_change(account: StripeAccount, charge: stripe.Charge) -> None:
    refund = account.v1.refunds.create({"charge": charge.id})
    assert plain(account.v1.refunds.update(refund.id, {"metadata": {"a": "b"}}))["metadata"] == {"a": "b"}
    assert told(account, "refund.updated") == ["refund.updated"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "payment_intent or charge"),
        ({"amount": 1001}, "greater than unrefunded amount"),
        ({"amount": 0}, "positive integer"),
        ({"refund_application_fee": True}, "does not implement"),
    ],
)
def test_impossible_refund_is_refused(
    account: StripeAccount, charge: stripe.Charge, params: Json, message: str
) -> None:
    wanted: Any = params | ({"charge": charge.id} if params else {})
    with pytest.raises(stripe.InvalidRequestError, match=message):
        account.v1.refunds.create(wanted)


def test_refunded_charge_is_not_refunded_again(account: StripeAccount, charge: stripe.Charge) -> None:
    account.v1.refunds.create({"charge": charge.id})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.v1.refunds.create({"charge": charge.id})
    assert refused.value.code == "charge_already_refunded"


def test_credit_note_refunds_the_card(account: StripeAccount, charge: stripe.Charge) -> None:
    note = account.v1.credit_notes.create(
        {"invoice": invoice_of(account, charge), "amount": 400, "refund_amount": 300, "credit_amount": 100}
    )
    (entry,) = note.refunds
    assert (entry.amount_refunded, note.post_payment_amount) == (300, 400)
    assert account.v1.refunds.retrieve(str(entry.refund)).amount == 300
    assert account.v1.charges.retrieve(charge.id).amount_refunded == 300


def test_refunded_amount_cannot_be_credited_too(account: StripeAccount, charge: stripe.Charge) -> None:
    account.v1.refunds.create({"charge": charge.id, "amount": 700})
    invoice = invoice_of(account, charge)
    with pytest.raises(stripe.InvalidRequestError, match="more than the 300"):
        account.v1.credit_notes.create({"invoice": invoice, "amount": 301, "credit_amount": 301})
    account.v1.credit_notes.create({"invoice": invoice, "amount": 300, "refund_amount": 300})
    assert account.v1.charges.retrieve(charge.id).refunded
