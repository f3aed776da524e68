"""``payment_method.*`` with a realistic payload."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.stripe_api.snapshots import PaymentMethodSnapshot, UnreadableObject
from handlers import HANDLERS
from tests.support.json_types import Json
from tests.support.recorded_events import ABSENT, CUSTOMER, handle, payload, recorded_snapshot, same, seen, with_change

ATTACHED = "payment_method.attached"

EXPECTED = PaymentMethodSnapshot(
    id="pm_1zm1KphJUDIdLTyy6KTJMtLs",
    seen=seen(datetime(2026, 11, 6, 0, 3, tzinfo=UTC), "evt_11Yk6iNGarbJTCo6pbAR3k0H"),
    customer_id=CUSTOMER,
    type="card",
    label="Mastercard •••• 4444",
    brand="mastercard",
    last4="4444",
    exp_month=12,
    exp_year=2034,
    detached=False,
)


def test_attached_has_the_card() -> None:
    assert same(recorded_snapshot(ATTACHED), EXPECTED)


def test_detached_has_the_previous_customer() -> None:
    at = datetime(2026, 11, 6, 0, 4, tzinfo=UTC)
    expected = seen(at, "evt_1x9DnIhPjGffvHU4QMDUhlHd", previous=EXPECTED.digest)
    snapshot = recorded_snapshot("payment_method.detached")
    assert same(snapshot, replace(EXPECTED, detached=True, seen=expected))
    assert snapshot.owner == EXPECTED.customer_id
    assert snapshot.rank > recorded_snapshot(ATTACHED).rank


@pytest.mark.parametrize("kind", [kind for kind in HANDLERS if kind.startswith("payment_method.")])
def test_every_type_of_the_family_reads_the_same_object(kind: str) -> None:
    assert handle(payload(ATTACHED) | {"type": kind}).digest == EXPECTED.digest


@pytest.mark.parametrize(
    ("kind", "details", "label"),
    [
        ("sepa_debit", {"bank_code": "37040044", "country": "DE", "last4": "3000"}, "SEPA Direct Debit •••• 3000"),
        ("us_bank_account", {"bank_name": "STRIPE TEST BANK", "last4": "6789"}, "STRIPE TEST BANK •••• 6789"),
        ("link", {"email": "owner@acme.example"}, "Link owner@acme.example"),
        ("paypal", {"payer_email": "owner@acme.example"}, "PayPal owner@acme.example"),
        ("card", {"brand": "american_express", "last4": "0005"}, "American Express •••• 0005"),
        ("naver_pay", {}, "Naver pay"),
        ("a_type_of_next_year", None, "A type of next year"),
    ],
)
def test_every_type_has_a_label(kind: str, details: Json | None, label: str) -> None:
    snapshot = with_change(ATTACHED, {"type": kind, "card": ABSENT, kind: details})
    assert isinstance(snapshot, PaymentMethodSnapshot)
    assert (snapshot.type, snapshot.label) == (kind, label)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("id", "pm_2"),
        ("customer", None),
        ("card.brand", "visa"),
        ("card.last4", "4242"),
        ("card.exp_month", 11),
        ("card.exp_year", 2035),
    ],
)
def test_each_mirrored_field_counts_as_a_change(path: str, value: object) -> None:
    assert with_change(ATTACHED, {path: value}).digest != EXPECTED.digest


@pytest.mark.parametrize(("path", "value"), [("id", ABSENT), ("customer", ABSENT), ("card", "4242")])
def test_an_object_of_another_shape_is_unreadable(path: str, value: object) -> None:
    with pytest.raises(UnreadableObject):
        with_change(ATTACHED, {path: value})
