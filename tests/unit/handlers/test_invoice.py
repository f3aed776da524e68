"""``invoice.*`` with a realistic payload, and ``invoice.upcoming``, which has no id."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.stripe_api.snapshots import InvoiceSnapshot, UnreadableObject, UpcomingInvoiceSnapshot
from gateway.stripe_api.snapshots.invoice_lines import read_lines
from handlers import HANDLERS
from tests.support.json_types import Json
from tests.support.recorded_events import (
    ABSENT,
    BILLING_DATE,
    CUSTOMER,
    SUBSCRIPTION,
    handle,
    payload,
    recorded_snapshot,
    references,
    same,
    seen,
    with_change,
)

PAID, UPCOMING = "invoice.paid", "invoice.upcoming"
FINALIZED = datetime(2026, 11, 5, 0, 3, tzinfo=UTC)
A_MINUTE_LATER = datetime(2026, 11, 5, 0, 4, tzinfo=UTC)

EXPECTED = InvoiceSnapshot(
    id="in_1Ddsfxw9Rj48z7MYW57wVs9T",
    seen=seen(FINALIZED, "evt_160vxs7EesoXSym6BG65Q3CG"),
    customer_id=CUSTOMER,
    subscription_id=SUBSCRIPTION,
    status="paid",
    billing_reason="subscription_update",
    collection_method="charge_automatically",
    due_date=None,
    attempted=True,
    attempt_count=1,
    auto_advance=False,
    number="JTIG0Z8S-0002",
    currency="usd",
    total=89164,
    taxes=0,
    amount_due=89164,
    amount_paid=89164,
    amount_remaining=0,
    amount_credited=0,
    next_payment_attempt=None,
    payment_under_way=None,
    action_required=None,
    hosted_invoice_url="https://stripe.test/i/in_1Ddsfxw9Rj48z7MYW57wVs9T",
    invoice_pdf="https://stripe.test/i/in_1Ddsfxw9Rj48z7MYW57wVs9T/pdf",
    lines=read_lines(payload(PAID)["data"]["object"]),
    period_end=FINALIZED,
    created=FINALIZED,
)
DRAFT = replace(
    EXPECTED,
    seen=seen(FINALIZED, "evt_11Q9HzRJODjELe4EHZPWEaZJ", is_first=True),
    status="draft",
    attempted=False,
    attempt_count=0,
    auto_advance=True,
    number=None,
    amount_paid=0,
    amount_remaining=89164,
    next_payment_attempt=datetime(2026, 11, 5, 1, 3, tzinfo=UTC),
    hosted_invoice_url=None,
    invoice_pdf=None,
)
EXPECTED_UPCOMING = UpcomingInvoiceSnapshot(
    id=SUBSCRIPTION,
    seen=seen(A_MINUTE_LATER, "evt_11Q9HzRJODjELe4EHZPWdddd"),
    customer_id=CUSTOMER,
    amount_due=142498,
    currency="usd",
    billing_date=BILLING_DATE,
    total=142498,
    lines=read_lines(payload(UPCOMING)["data"]["object"]),
)


def payments(*statuses: str) -> Json:
    """Return expanded payments with intents of these statuses, and one without an intent."""
    intents = [{"type": "payment_intent", "payment_intent": {"id": "pi_1", "status": each}} for each in statuses]
    return {"data": [{"payment": each} for each in [{"type": "charge", "charge": "ch_1"}, *intents]]}


@pytest.mark.parametrize(
    ("changes", "under_way"),
    [
        ({}, None),  # a webhook
        ({"payments": payments()}, False),
        ({"payments": payments("requires_payment_method")}, False),
        ({"payments": payments("requires_action")}, False),
        ({"payments": payments("processing")}, True),
        ({"payments": payments("requires_payment_method", "processing")}, True),
        ({"payments": payments("canceled"), "next_payment_attempt": 1_790_000_000}, None),
        ({"payments": payments("canceled"), "attempted": False}, None),
        ({"payments": payments("canceled"), "collection_method": "send_invoice", "due_date": 1}, False),
        ({"payments": payments("canceled"), "collection_method": "send_invoice", "due_date": 4_000_000_000}, None),
        ({"payments": payments("processing"), "collection_method": "send_invoice"}, True),
        ({"payments": payments("processing"), "status": "paid"}, None),
    ],
)
def test_expanded_payments_show_what_is_under_way(changes: Json, under_way: bool | None) -> None:
    found = with_change(PAID, {"status": "open", "attempted": True} | changes)
    assert isinstance(found, InvoiceSnapshot)
    assert found.payment_under_way is under_way


@pytest.mark.parametrize(("status", "required"), [("requires_action", True), ("requires_payment_method", False)])
def test_expanded_payments_show_a_required_approval(status: str, *, required: bool) -> None:
    found = with_change(PAID, {"status": "open", "payments": payments(status)})
    assert isinstance(found, InvoiceSnapshot)
    assert found.action_required is required


def test_required_action_is_looked_up_at_any_age() -> None:
    event = payload("invoice.payment_action_required")
    [reference] = references(event)
    assert (reference.kind, reference.id, reference.as_of) == ("invoice", event["data"]["object"]["id"], None)


def test_created_is_a_draft() -> None:
    assert same(recorded_snapshot("invoice.created"), DRAFT)


def test_paid_has_the_amounts() -> None:
    assert same(recorded_snapshot(PAID), EXPECTED)


def test_updated_has_the_previous_state() -> None:
    before = replace(
        EXPECTED,
        status="open",
        attempted=False,
        attempt_count=0,
        auto_advance=True,
        amount_paid=0,
        amount_remaining=89164,
    )
    expected = seen(FINALIZED, "evt_1Z03mLuZBtLHnSPcNznQBaLO", previous=before.digest)
    assert same(recorded_snapshot("invoice.updated"), replace(EXPECTED, seen=expected))


def test_deleted_is_a_deleted_draft() -> None:
    expected = replace(DRAFT, status="deleted", seen=seen(A_MINUTE_LATER, "evt_11Q9HzRJODjELe4EHZPWdddd"))
    assert payload("invoice.deleted")["data"]["object"]["status"] == "draft"
    assert same(recorded_snapshot("invoice.deleted"), expected)
    assert recorded_snapshot("invoice.deleted").rank == 3


@pytest.mark.parametrize(
    "kind", [kind for kind in HANDLERS if kind.startswith("invoice.") and kind not in {"invoice.deleted", UPCOMING}]
)
def test_every_type_of_the_family_reads_the_same_object(kind: str) -> None:
    assert handle(payload(PAID) | {"type": kind}).digest == recorded_snapshot(PAID).digest


@pytest.mark.parametrize(
    ("status", "rank"), [("draft", 0), ("open", 1), ("uncollectible", 2), ("paid", 3), ("void", 3)]
)
def test_each_status_has_its_rank(status: str, rank: int) -> None:
    assert with_change(PAID, {"status": status}).rank == rank


@pytest.mark.parametrize("parent", [None, {"type": "quote_details", "quote_details": {"quote": "qt_1"}}])
def test_an_invoice_without_a_subscription_is_read(parent: object) -> None:
    snapshot = with_change(PAID, {"parent": parent})
    assert isinstance(snapshot, InvoiceSnapshot)
    assert snapshot.subscription_id is None


def test_a_difference_in_links_is_no_change() -> None:
    other = {"hosted_invoice_url": "https://stripe.test/other", "invoice_pdf": None}
    assert with_change(PAID, other).digest == recorded_snapshot(PAID).digest


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("id", "in_2"),
        ("customer", "cus_2"),
        ("parent.subscription_details.subscription", "sub_2"),
        ("status", "open"),
        ("billing_reason", "subscription_cycle"),
        ("number", None),
        ("currency", "eur"),
        ("total", 89165),
        ("amount_due", 89165),
        ("amount_paid", 89165),
        ("amount_remaining", 1),
        ("next_payment_attempt", 1793836980),
        ("created", 1793836981),
    ],
)
def test_each_mirrored_field_counts_as_a_change(path: str, value: object) -> None:
    assert with_change(PAID, {path: value}).digest != recorded_snapshot(PAID).digest


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("status", "pondering"),
        ("status", None),
        ("id", ABSENT),
        ("customer", None),
        ("total", ABSENT),
        ("parent", {"type": "subscription_details"}),
        ("parent.subscription_details.subscription", None),
        ("created", ABSENT),
        ("created", None),
        ("total", None),
        ("total", "12"),
        ("total", True),
        ("next_payment_attempt", 10**30),
        ("currency", None),
    ],
)
def test_an_object_of_another_shape_is_unreadable(path: str, value: object) -> None:
    with pytest.raises(UnreadableObject):
        with_change(PAID, {path: value})


def test_the_shape_before_basil_is_unreadable() -> None:
    """Until 2025-02-24.acacia, the invoice itself had the subscription."""
    for name in (PAID, UPCOMING):
        with pytest.raises(UnreadableObject):
            with_change(name, {"parent": ABSENT, "subscription": SUBSCRIPTION})
        with pytest.raises(UnreadableObject):
            with_change(name, {"parent": None, "subscription": SUBSCRIPTION})


def test_upcoming_has_the_charges_under_the_subscription_id() -> None:
    invoice = payload(UPCOMING)["data"]["object"]
    assert "id" not in invoice
    assert (invoice["status"], invoice["billing_reason"]) == ("draft", "upcoming")
    assert same(recorded_snapshot(UPCOMING), EXPECTED_UPCOMING)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("parent.subscription_details.subscription", "sub_2"),
        ("customer", "cus_2"),
        ("amount_due", 1),
        ("currency", "eur"),
        ("period_end", 1796083321),
    ],
)
def test_each_field_of_an_upcoming_invoice_counts_as_a_change(path: str, value: object) -> None:
    assert with_change(UPCOMING, {path: value}).digest != recorded_snapshot(UPCOMING).digest


@pytest.mark.parametrize(
    ("path", "value"),
    [("parent", None), ("customer", None), ("amount_due", ABSENT), ("period_end", ABSENT), ("period_end", None)],
)
def test_an_upcoming_invoice_of_another_shape_is_unreadable(path: str, value: object) -> None:
    with pytest.raises(UnreadableObject):
        with_change(UPCOMING, {path: value})
