"""Event types that name objects without containing them, with a realistic payload each."""

from datetime import UTC, datetime

import pytest

from gateway.stripe_api.snapshots import Reference, UnreadableObject
from handlers import HANDLERS
from tests.support.recorded_events import ABSENT, CUSTOMER, SUBSCRIPTION, changed, payload, references

AT = datetime(2026, 11, 5, 0, 3, tzinfo=UTC)
SUBSCRIPTION_LOOKUP = Reference(kind="subscription", id=SUBSCRIPTION, owner=CUSTOMER, as_of=AT)
CUSTOMER_LOOKUP = Reference(kind="customer", id=CUSTOMER, owner=CUSTOMER, as_of=AT)
INVOICE_LOOKUP = Reference(kind="invoice", id="in_1Ddsfxw9Rj48z7MYW57wVs9T", owner=CUSTOMER, as_of=AT)


@pytest.mark.parametrize(
    "kind",
    ["checkout.session.completed", "checkout.session.async_payment_failed", "checkout.session.async_payment_succeeded"],
)
def test_a_checkout_session_refers_to_subscription_and_customer(kind: str) -> None:
    event = payload("checkout.session.completed") | {"type": kind}
    assert references(event) == [SUBSCRIPTION_LOOKUP, CUSTOMER_LOOKUP]


def test_an_abandoned_checkout_session_has_no_references() -> None:
    assert references(changed("checkout.session.completed", {"subscription": None, "customer": None})) == []


@pytest.mark.parametrize("kind", ["credit_note.created", "credit_note.updated", "credit_note.voided"])
def test_a_credit_note_to_the_balance_refers_to_the_customer(kind: str) -> None:
    assert references(payload("credit_note.created") | {"type": kind}) == [INVOICE_LOOKUP, CUSTOMER_LOOKUP]


def test_another_credit_note_refers_only_to_the_invoice() -> None:
    assert references(changed("credit_note.created", {"customer_balance_transaction": None})) == [INVOICE_LOOKUP]


@pytest.mark.parametrize("kind", [each for each in HANDLERS if each.startswith("subscription_schedule.")])
def test_a_schedule_refers_to_its_subscription(kind: str) -> None:
    source = "released" if kind.endswith("released") else "updated"
    event = payload(f"subscription_schedule.{source}") | {"type": kind}
    assert references(event) == [SUBSCRIPTION_LOOKUP]


def test_a_schedule_that_has_not_begun_has_no_references() -> None:
    assert references(changed("subscription_schedule.updated", {"subscription": None})) == []


def test_a_payment_refers_to_the_invoice_without_an_owner() -> None:
    event = payload("invoice_payment.paid")
    invoice = event["data"]["object"]["invoice"]
    at = datetime.fromtimestamp(event["created"], UTC)
    assert references(event) == [Reference(kind="invoice", id=invoice, owner=None, as_of=at)]


def test_an_expanded_reference_is_read_as_well() -> None:
    [found] = references(changed("invoice_payment.paid", {"invoice": {"id": "in_2", "object": "invoice"}}))
    assert found.id == "in_2"


def test_a_setup_intent_refers_to_the_card_and_its_owner() -> None:
    event = payload("setup_intent.succeeded")
    intent, at = event["data"]["object"], datetime.fromtimestamp(event["created"], UTC)
    card, owner = intent["payment_method"], intent["customer"]
    assert references(event) == [Reference(kind="payment_method", id=card, owner=owner, as_of=at)]


@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("checkout.session.completed", "subscription"),
        ("credit_note.created", "invoice"),
        ("invoice_payment.paid", "invoice"),
        ("setup_intent.succeeded", "payment_method"),
        ("subscription_schedule.updated", "subscription"),
        ("subscription_schedule.released", "released_subscription"),
    ],
)
def test_a_payload_without_the_member_is_unreadable(name: str, member: str) -> None:
    with pytest.raises(UnreadableObject):
        references(changed(name, {member: ABSENT}))
    with pytest.raises(UnreadableObject):
        references(changed(name, {member: {"object": "odd"}}))


def test_a_payment_that_takes_days_refers_to_its_invoice() -> None:
    intent = payload("payment_intent.processing")["data"]["object"]
    [found] = references(payload("payment_intent.processing"))
    assert (found.kind, found.id) == ("invoice", intent["payment_details"]["order_reference"])
    assert (found.owner, found.as_of) == (intent["customer"], None)  # whatever the mirror knows


@pytest.mark.parametrize("reference", [None, "order_1"])
@pytest.mark.parametrize("path", ["payment_details.order_reference", "payment_details"])
def test_a_payment_of_no_invoice_refers_to_nothing(path: str, reference: str | None) -> None:
    value = {"order_reference": reference} if path == "payment_details" and reference else reference
    assert references(changed("payment_intent.processing", {path: value})) == []
