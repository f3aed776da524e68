"""``customer.subscription.*`` with a realistic payload, and the payloads that are unreadable."""

import copy
from datetime import UTC, datetime

import pytest

from gateway.stripe_api.snapshots import SubscriptionItem, SubscriptionSnapshot, UnreadableObject
from handlers import HANDLERS
from tests.support.json_types import Json
from tests.support.recorded_events import (
    ABSENT,
    BILLING_DATE,
    CUSTOMER,
    ENROLLED,
    SUBSCRIPTION,
    changed,
    handle,
    payload,
    recorded_snapshot,
    same,
    seen,
    with_change,
)

UPDATED = "customer.subscription.updated"


def plus(quantity: int) -> SubscriptionItem:
    return SubscriptionItem(
        id="si_TSd3dham0bMdhk",
        price_id="price_1JYB9xFgrLIb2c5FO47rtUma",
        product_id="prod_SujWjdmPPD2U1D",
        quantity=quantity,
        metered=False,
        unit_amount=25000,
        unit_amount_decimal=None,
        interval="month",
        interval_count=1,
        created=ENROLLED,
        current_period_start=ENROLLED,
        current_period_end=BILLING_DATE,
    )


FREE = SubscriptionItem(
    id="si_TSd3dham0bMdhk",
    price_id="price_1U9Ld0DL62l8SDfHA0wvHsmX",
    product_id="prod_seywrGu1r1YjxL",
    quantity=1,
    metered=False,
    unit_amount=0,
    unit_amount_decimal=None,
    interval="month",
    interval_count=1,
    created=ENROLLED,
    current_period_start=ENROLLED,
    current_period_end=BILLING_DATE,
)


def subscription(
    as_of: datetime,
    cause: str,
    *,
    item: SubscriptionItem,
    status: str = "active",
    invoice: str = "in_1Ddsfxw9Rj48z7MYW57wVs9T",
    change: str = "chg_2",
    previous: str | None = None,
    is_first: bool = False,
) -> SubscriptionSnapshot:
    return SubscriptionSnapshot(
        id=SUBSCRIPTION,
        seen=seen(as_of, cause, previous=previous, is_first=is_first),
        customer_id=CUSTOMER,
        status=status,
        currency="usd",
        items=(item,),
        cancel_at=None,
        cancel_at_period_end=False,
        default_payment_method_id=None,
        collection_method="charge_automatically",
        billing_mode="flexible",
        automatic_tax=False,
        schedule_id=None,
        pause_behavior=None,
        paused_until=None,
        trial_end=None,
        missing_payment_method="create_invoice",
        invoices_pending=False,
        discount_ids=(),
        latest_invoice_id=invoice,
        change_id=change,
        pending_until=None,
        created=ENROLLED,
    )


def test_created_is_the_first_state() -> None:
    expected = subscription(
        ENROLLED,
        "evt_14GHveIaQQKYerLY764DhD0N",
        item=FREE,
        invoice="in_1lvlZBJHJ7WPK3sHSvZZ6nCE",
        change="chg_1",
        is_first=True,
    )
    assert same(recorded_snapshot("customer.subscription.created"), expected)


def test_updated_has_the_state_and_the_previous_state() -> None:
    at = datetime(2026, 11, 5, 0, 3, tzinfo=UTC)
    before = subscription(at, "evt", item=plus(3), invoice="in_1lvlZBJHJ7WPK3sHSvZZ6nCE")
    expected = subscription(at, "evt_10elZWg1MOulULd3Jb7QZSde", item=plus(4), previous=before.digest)
    assert same(recorded_snapshot(UPDATED), expected)


def test_deleted_is_an_ended_subscription() -> None:
    at = datetime(2026, 11, 6, 0, 5, tzinfo=UTC)
    expected = subscription(at, "evt_1Gjy9qTSHPHrVvIDWsA1t2UK", item=plus(4), status="canceled")
    assert same(recorded_snapshot("customer.subscription.deleted"), expected)
    assert recorded_snapshot("customer.subscription.deleted").rank > recorded_snapshot(UPDATED).rank


@pytest.mark.parametrize("kind", [kind for kind in HANDLERS if kind.startswith("customer.subscription.")])
def test_every_type_of_the_family_reads_the_same_object(kind: str) -> None:
    assert handle(payload(UPDATED) | {"type": kind}).digest == recorded_snapshot(UPDATED).digest


def test_references_may_be_expanded() -> None:
    event = changed(
        UPDATED,
        {
            "customer": {"id": CUSTOMER, "object": "customer"},
            "latest_invoice": {"id": "in_1Ddsfxw9Rj48z7MYW57wVs9T", "object": "invoice"},
            "items.data.0.price.product": {"id": "prod_SujWjdmPPD2U1D", "object": "product"},
        },
    )
    assert handle(event).digest == recorded_snapshot(UPDATED).digest


def test_a_metered_item_has_no_quantity_and_counts_as_one() -> None:
    snapshot = with_change(UPDATED, {"items.data.0.quantity": ABSENT})
    assert isinstance(snapshot, SubscriptionSnapshot)
    assert snapshot.items == (plus(1),)
    assert with_change(UPDATED, {"items.data.0.quantity": None}).digest == snapshot.digest


def test_an_unknown_field_is_no_change() -> None:
    added = {"something_new": {"a": [1]}, "description": "Ours", "items.data.0.something_new": 1}
    assert with_change(UPDATED, added).digest == recorded_snapshot(UPDATED).digest


def two_items() -> Json:
    event = payload(UPDATED)
    items = event["data"]["object"]["items"]["data"]
    items.append(copy.deepcopy(items[0]) | {"id": "si_a"})
    return event


def test_the_order_of_the_items_is_no_change() -> None:
    event, turned = two_items(), two_items()
    turned["data"]["object"]["items"]["data"].reverse()
    assert handle(event).digest == handle(turned).digest
    assert handle(event).digest != recorded_snapshot(UPDATED).digest


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("id", "sub_2"),
        ("customer", "cus_2"),
        ("status", "past_due"),
        ("currency", "eur"),
        ("cancel_at", 1796083320),
        ("latest_invoice", None),
        ("metadata.change_id", "chg_3"),
        ("metadata.change_id", ABSENT),
        ("created", 1793491321),
        ("items.data.0.id", "si_2"),
        ("items.data.0.price.id", "price_2"),
        ("items.data.0.price.product", "prod_2"),
        ("items.data.0.quantity", 5),
        ("items.data.0.current_period_start", 1793491321),
        ("items.data.0.current_period_end", 1796083321),
    ],
)
def test_each_mirrored_field_counts_as_a_change(path: str, value: object) -> None:
    assert with_change(UPDATED, {path: value}).digest != recorded_snapshot(UPDATED).digest


@pytest.mark.parametrize(
    "status", ["incomplete", "incomplete_expired", "trialing", "active", "past_due", "canceled", "unpaid", "paused"]
)
def test_every_stripe_status_is_read(status: str) -> None:
    snapshot = with_change(UPDATED, {"status": status})
    assert isinstance(snapshot, SubscriptionSnapshot)
    assert snapshot.status == status
    assert snapshot.rank == (1 if status in {"canceled", "incomplete_expired"} else 0)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("status", "hibernating"),
        ("status", None),
        ("status", []),
        ("id", ABSENT),
        ("customer", None),
        ("customer", ABSENT),
        ("items", ABSENT),
        ("items", []),
        ("items.data", None),
        ("items.data", []),
        ("items.data.0.current_period_start", None),
        ("items.data.0.quantity", "4"),
        ("created", None),
        ("cancel_at", 10**30),
        ("currency", None),
        ("currency", "u\0"),
        ("items.data", [None]),
        ("items.has_more", True),
        ("items.data.0.price", None),
        ("items.data.0.price", "price_1"),
        ("items.data.0.price.product", None),
        ("items.data.0.current_period_end", "soon"),
        ("metadata", None),
        ("latest_invoice", {"object": "invoice"}),
        ("created", ABSENT),
    ],
)
def test_an_object_of_another_shape_is_unreadable(path: str, value: object) -> None:
    with pytest.raises(UnreadableObject):
        with_change(UPDATED, {path: value})


def test_the_shape_before_basil_is_unreadable() -> None:
    """Until 2025-02-24.acacia, the subscription had the period and its items had none."""
    event = changed(
        UPDATED,
        {
            "current_period_start": 1793491320,
            "current_period_end": 1796083320,
            "items.data.0.current_period_start": ABSENT,
            "items.data.0.current_period_end": ABSENT,
        },
    )
    with pytest.raises(UnreadableObject):
        handle(event)


def test_an_unreadable_previous_state_is_not_guessed() -> None:
    event = payload(UPDATED)
    event["data"]["previous_attributes"] = {"status": "hibernating"}
    with pytest.raises(UnreadableObject):
        handle(event)
