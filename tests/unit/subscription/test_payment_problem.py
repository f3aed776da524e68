"""The payment problem for every debt, with and without a payment method."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.db.models import Invoice, Subscription
from gateway.services.subscription.payment_problem import find_payment_problem

NOW = datetime(2026, 11, 20, tzinfo=UTC)
LATER, EARLIER = NOW + timedelta(days=3), NOW - timedelta(days=3)
RETRIED = {"next_payment_attempt": LATER}
GIVEN_UP = {"payment_under_way": False}
SENT = {"collection_method": "send_invoice", "payment_under_way": False}


def owed(**changes: Any) -> tuple[Subscription, Invoice]:
    row: dict[str, Any] = {
        "id": "in_1",
        "subscription_id": "sub_1",
        "status": "open",
        "billing_reason": "subscription_cycle",
        "collection_method": "charge_automatically",
        "attempted": True,
        "amount_remaining": 500,
        "hosted_invoice_url": "https://invoice.stripe.com/i/in_1",
        "as_of": NOW,
    }
    return Subscription(id="sub_1", status="past_due", as_of=NOW), Invoice(**row | changes)


@pytest.mark.parametrize(
    ("changes", "standing", "has_method", "reason"),
    [
        (RETRIED, "grace", True, "payment_failed"),
        (RETRIED, "grace", False, "payment_method_required"),
        (RETRIED | {"action_required": True}, "grace", True, "action_required"),
        (GIVEN_UP, "suspended", True, "retries_ended"),
        (GIVEN_UP, "suspended", False, "retries_ended"),
        ({"status": "uncollectible"}, "good", True, "retries_ended"),
        (SENT | {"due_date": EARLIER}, "grace", False, "overdue"),
        (SENT | {"due_date": LATER}, "good", False, None),
        ({}, "suspended", True, "retries_ended"),
        ({}, "good", True, None),
        ({"attempted": False}, "good", True, None),
        ({"payment_under_way": True}, "good", True, None),
        ({"status": "paid"}, "good", True, None),
    ],
)
def test_reason_follows_the_debt(changes: Any, standing: str, *, has_method: bool, reason: str | None) -> None:
    found = find_payment_problem([owed(**changes)], standing, has_method=has_method)
    assert (found.reason if found is not None else None) == reason


def test_most_urgent_invoice_is_shown() -> None:
    unpaid = [owed(**RETRIED), owed(id="in_2", **GIVEN_UP), owed(id="in_3", **GIVEN_UP)]
    found = find_payment_problem(unpaid, "suspended", has_method=True)
    assert found is not None
    assert (found.invoice, found.next_attempt_at) == ("in_2", None)
