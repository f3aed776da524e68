"""The columns in which the mirror stores a snapshot."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.db.models import Subscription
from gateway.services.mirror.ordering import Order
from gateway.services.mirror.tables import KINDS, read_order, write_order
from gateway.stripe_api.snapshots import Source
from tests.support.recorded_events import BILLING_DATE, ENROLLED, recorded_snapshot

AT = datetime(2026, 11, 5, 0, 3, tzinfo=UTC)


def test_kinds_are_merged_after_the_kinds_they_refer_to() -> None:
    assert list(KINDS) == [
        "product",
        "price",
        "customer",
        "payment_method",
        "subscription",
        "discounts",
        "invoice",
        "charge",
        "upcoming_invoice",
    ]


@pytest.mark.parametrize("name", KINDS)
def test_the_key_column_exists(name: str) -> None:
    kind = KINDS[name]
    assert kind.model.__table__.columns[kind.key].primary_key or kind.model.__table__.columns[kind.key].unique


def sum_of(lines: Any) -> int:
    """Return the total of an invoice with these lines."""
    return sum(each["amount"] + each["discount"] + each["tax"] for each in lines)


def content(event: str) -> dict[str, object]:
    snapshot = recorded_snapshot(event)
    return dict(KINDS[snapshot.kind].column_values(snapshot))


def test_content_of_a_subscription() -> None:
    assert content("customer.subscription.updated") == {
        "status": "active",
        "currency": "usd",
        "items": [
            {
                "id": "si_TSd3dham0bMdhk",
                "price_id": "price_1JYB9xFgrLIb2c5FO47rtUma",
                "product_id": "prod_SujWjdmPPD2U1D",
                "quantity": 4,
                "metered": False,
                "unit_amount": 25000,
                "unit_amount_decimal": None,
                "interval": "month",
                "interval_count": 1,
                "created": "2026-11-01T00:02:00+00:00",
                "current_period_start": "2026-11-01T00:02:00+00:00",
                "current_period_end": "2026-12-01T00:02:00+00:00",
            }
        ],
        "cancel_at": None,
        "cancel_at_period_end": False,
        "default_payment_method_id": None,
        "collection_method": "charge_automatically",
        "billing_mode": "flexible",
        "automatic_tax": False,
        "schedule_id": None,
        "pause_behavior": None,
        "paused_until": None,
        "trial_end": None,
        "missing_payment_method": "create_invoice",
        "invoices_pending": False,
        "discount_ids": [],
        "latest_invoice_id": "in_1Ddsfxw9Rj48z7MYW57wVs9T",
        "change_id": "chg_2",
        "pending_until": None,
        "created": ENROLLED,
    }


def test_content_of_an_invoice() -> None:
    found = content("invoice.paid")
    assert sum_of(found.pop("lines")) == 89164
    assert found == {
        "subscription_id": "sub_1W1sHmK3iPuNwiMvlW33EgIc",
        "status": "paid",
        "billing_reason": "subscription_update",
        "collection_method": "charge_automatically",
        "due_date": None,
        "attempted": True,
        "attempt_count": 1,
        "auto_advance": False,
        "number": "JTIG0Z8S-0002",
        "currency": "usd",
        "total": 89164,
        "taxes": 0,
        "amount_due": 89164,
        "amount_paid": 89164,
        "amount_remaining": 0,
        "amount_credited": 0,
        "next_payment_attempt": None,
        "payment_under_way": None,
        "action_required": None,
        "hosted_invoice_url": "https://stripe.test/i/in_1Ddsfxw9Rj48z7MYW57wVs9T",
        "invoice_pdf": "https://stripe.test/i/in_1Ddsfxw9Rj48z7MYW57wVs9T/pdf",
        "created": AT,
    }


def test_content_of_the_other_kinds() -> None:
    upcoming = content("invoice.upcoming")
    assert sum_of(upcoming.pop("lines")) == 142498
    assert upcoming == {"amount_due": 142498, "currency": "usd", "total": 142498, "billing_date": BILLING_DATE}
    assert content("customer.deleted") == {
        "name": None,
        "email": None,
        "default_payment_method_id": None,
        "default_source_id": None,
        "currency": None,
        "country": None,
        "balance": 0,
        "deleted": True,
    }
    assert content("payment_method.attached") == {
        "type": "card",
        "label": "Mastercard •••• 4444",
        "brand": "mastercard",
        "last4": "4444",
        "exp_month": 12,
        "exp_year": 2034,
        "detached": False,
    }
    assert content("product.created") == {"key": "plus", "name": "Plus", "active": True}
    assert content("price.created") == {
        "product_id": "prod_SujWjdmPPD2U1D",
        "lookup_key": "konnect_plus_usd_month",
        "currency": "usd",
        "unit_amount": 25000,
        "interval": "month",
        "active": True,
    }


def test_the_order_stored_in_a_row_is_read_back() -> None:
    order = Order(as_of=AT, source=Source.EVENT, rank=1, trail=("a", "b"), revision=4)
    row = Subscription(id="sub_1")
    write_order(row, order)
    assert read_order(row) == order


def test_a_row_without_a_stripe_state_has_no_order() -> None:
    assert read_order(Subscription(id="sub_1")) is None
