"""Refunds and disputes lead to a lookup of the charge, because only that shows its customer, invoice and disputes."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.stripe_api.snapshots import ChargeSnapshot, Reference, UnreadableObject
from handlers import HANDLERS
from tests.support.json_types import Json
from tests.support.recorded_events import CUSTOMER, payload, references, seen

CHARGE = "ch_3Qm5"
AT = datetime(2026, 11, 5, 0, 3, tzinfo=UTC)
READ: Json = {
    "id": CHARGE,
    "object": "charge",
    "customer": CUSTOMER,
    "currency": "usd",
    "amount": 5000,
    "amount_refunded": 0,
    "created": int(AT.timestamp()),
    "disputes": {"data": []},
}


def event(kind: str, **stripe_object: Any) -> Json:
    return payload("customer.updated") | {"type": kind, "data": {"object": stripe_object}}


def read(**changes: Any) -> ChargeSnapshot:
    return ChargeSnapshot.read(READ | changes, seen(AT, "refresh"))


def dispute(status: str, amount: int = 5000, **metadata: str) -> Json:
    return {"status": status, "amount": amount, "metadata": metadata}


def test_refund_names_its_charge_and_customer() -> None:
    found = references(event("charge.refunded", id=CHARGE, object="charge", customer=CUSTOMER))
    assert found == [Reference(kind="charge", id=CHARGE, owner=CUSTOMER, as_of=None)]


@pytest.mark.parametrize(
    "kind", [kind for kind in HANDLERS if kind.startswith("charge.dispute.") or kind == "refund.failed"]
)
def test_dispute_and_failed_refund_name_the_charge_alone(kind: str) -> None:
    [found] = references(event(kind, id="du_1", charge=CHARGE))
    assert (found.id, found.owner, found.as_of, found.ours) == (CHARGE, None, None, True)


@pytest.mark.parametrize(
    ("disputes", "state", "lost"),
    [
        ([], None, 0),
        ([dispute("needs_response")], "open", 0),
        ([dispute("warning_under_review")], "open", 0),
        ([dispute("a_status_of_next_year")], "open", 0),
        ([dispute("won")], None, 0),
        ([dispute("prevented")], None, 0),
        ([dispute("lost")], "lost", 5000),
        ([dispute("lost", settled="true")], None, 0),
        ([dispute("lost", settled="no")], "lost", 5000),
        ([dispute("won"), dispute("lost", 1000), dispute("under_review", 500)], "lost", 1000),
    ],
)
def test_disputes_decide_the_state(disputes: list[Json], state: str | None, lost: int) -> None:
    found = read(disputes={"data": disputes})
    assert (found.dispute, found.amount_lost) == (state, lost)


def test_the_invoice_comes_from_the_payment() -> None:
    assert read().invoice_id is None
    assert read(invoice_payments={"data": []}).invoice_id is None
    assert read(invoice_payments={"data": [{"invoice": "in_1"}]}).invoice_id == "in_1"


@pytest.mark.parametrize("change", [{"amount": "50"}, {"amount_refunded": -1}, {"disputes": None}, {"currency": None}])
def test_another_shape_is_unreadable(change: Json) -> None:
    with pytest.raises(UnreadableObject):
        read(**change)
