"""The plan of an organization, for every state of its subscriptions at Stripe."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.db.models import OrganizationPlan, Subscription
from gateway.services.plan_table.derive import PlanState, derive_plan_state
from gateway.services.plan_table.selection import Plans

START = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 12, 1, tzinfo=UTC)
PLANS = Plans(
    {"prod_free": "free", "prod_plus": "plus", "prod_enterprise": "enterprise"}, ["free", "plus", "enterprise"]
)
UNKNOWN_PRODUCT = "prod_strange"


def item(product: str, *, quantity: int = 1, item_id: str = "si_1") -> dict[str, Any]:
    return {
        "id": item_id,
        "price_id": f"price_of_{product}",
        "product_id": product,
        "quantity": quantity,
        "current_period_start": START.isoformat(),
        "current_period_end": END.isoformat(),
    }


def subscription(
    *items: dict[str, Any],
    status: str = "active",
    created: datetime = START,
    name: str = "sub_1",
    had_plan: bool = True,
) -> Subscription:
    return Subscription(
        id=name,
        organization_id="org_1",
        status=status,
        currency="usd",
        items=list(items),
        cancel_at=None,
        latest_invoice_id=None,
        change_id=None,
        had_plan=had_plan,
        created=created,
    )


def state(*subscriptions: Subscription) -> PlanState:
    return derive_plan_state(subscriptions, PLANS)


def test_an_organization_without_a_subscription_is_on_free() -> None:
    assert state() == PlanState(
        plan="free",
        requested_plan="free",
        status="none",
        standing="good",
        quantity=1,
        currency=None,
        subscription_id=None,
        current_period_start=None,
        current_period_end=None,
        cancel_at=None,
        returned_payments=[],
        granted_plan=None,
        granted_until=None,
    )


def test_the_row_is_derived_from_the_base_item() -> None:
    found = subscription(item("prod_plus", quantity=7))
    found.cancel_at = END
    assert state(found) == PlanState(
        plan="plus",
        requested_plan="plus",
        status="active",
        standing="good",
        quantity=7,
        currency="usd",
        subscription_id="sub_1",
        current_period_start=START,
        current_period_end=END,
        cancel_at=END,
        returned_payments=[],
        granted_plan=None,
        granted_until=None,
    )


@pytest.mark.parametrize(
    ("status", "product", "plan", "requested", "standing"),
    [
        ("trialing", "prod_free", "free", "free", "good"),
        ("trialing", "prod_plus", "plus", "plus", "good"),
        ("trialing", UNKNOWN_PRODUCT, "unmapped", "unmapped", "good"),
        ("active", "prod_free", "free", "free", "good"),
        ("active", "prod_plus", "plus", "plus", "good"),
        ("active", UNKNOWN_PRODUCT, "unmapped", "unmapped", "good"),
        ("past_due", "prod_free", "free", "free", "grace"),
        ("past_due", "prod_plus", "plus", "plus", "grace"),
        ("past_due", UNKNOWN_PRODUCT, "unmapped", "unmapped", "grace"),
        ("incomplete", "prod_free", "free", "free", "good"),
        ("incomplete", "prod_plus", "free", "plus", "good"),
        ("incomplete", UNKNOWN_PRODUCT, "free", "unmapped", "good"),
        ("incomplete_expired", "prod_free", "free", "free", "suspended"),
        ("incomplete_expired", "prod_plus", "free", "free", "suspended"),
        ("incomplete_expired", UNKNOWN_PRODUCT, "free", "free", "suspended"),
        ("unpaid", "prod_free", "free", "free", "suspended"),
        ("unpaid", "prod_plus", "free", "plus", "suspended"),
        ("unpaid", UNKNOWN_PRODUCT, "free", "unmapped", "suspended"),
        ("paused", "prod_free", "free", "free", "suspended"),
        ("paused", "prod_plus", "free", "plus", "suspended"),
        ("paused", UNKNOWN_PRODUCT, "free", "unmapped", "suspended"),
        ("canceled", "prod_free", "free", "free", "good"),
        ("canceled", "prod_plus", "free", "free", "good"),
        ("canceled", UNKNOWN_PRODUCT, "free", "free", "good"),
    ],
)
def test_plan_and_standing_follow_the_status(
    status: str, product: str, plan: str, requested: str, standing: str
) -> None:
    found = state(subscription(item(product), status=status))
    assert (found.plan, found.requested_plan, found.standing) == (plan, requested, standing)
    assert found.status == status


def test_an_unknown_product_beside_a_plan_is_ignored() -> None:
    found = state(subscription(item(UNKNOWN_PRODUCT, quantity=9, item_id="si_0"), item("prod_plus", quantity=3)))
    assert (found.plan, found.quantity) == ("plus", 3)


def test_a_subscription_to_another_thing_is_ignored() -> None:
    assert state(subscription(item(UNKNOWN_PRODUCT), had_plan=False)) == state()


def test_a_subscription_that_lost_its_plan_is_unmapped() -> None:
    found = state(subscription(item(UNKNOWN_PRODUCT, quantity=4)))
    assert (found.plan, found.requested_plan, found.quantity) == ("unmapped", "unmapped", 4)
    assert found.subscription_id == "sub_1"


LATER = START + timedelta(days=1)


@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize(
    ("subscriptions", "current"),
    [
        ([("sub_old", START, "active"), ("sub_new", LATER, "active")], "sub_new"),
        ([("sub_old", START, "active"), ("sub_new", LATER, "past_due")], "sub_new"),
        ([("sub_old", START, "active"), ("sub_new", LATER, "canceled")], "sub_old"),
        ([("sub_old", START, "unpaid"), ("sub_new", LATER, "incomplete_expired")], "sub_old"),
        ([("sub_old", START, "canceled"), ("sub_new", LATER, "canceled")], "sub_new"),
        ([("sub_old", START, "canceled"), ("sub_new", LATER, "incomplete_expired")], "sub_new"),
        ([("sub_a", START, "active"), ("sub_b", START, "active")], "sub_b"),
    ],
)
def test_the_newest_live_subscription_counts_else_the_newest(
    subscriptions: list[tuple[str, datetime, str]], current: str, turn: int
) -> None:
    rows = [
        subscription(item("prod_plus"), name=name, created=created, status=status)
        for name, created, status in subscriptions
    ]
    assert state(*rows[::turn]).subscription_id == current


def test_the_state_in_a_row_is_read_back() -> None:
    found = state(subscription(item("prod_plus", quantity=7)))
    row = OrganizationPlan(organization_id="org_1", as_of=START, version=3, **vars(found))
    assert PlanState.of_row(row) == found


def test_the_history_keeps_times_in_iso_8601() -> None:
    assert state(subscription(item("prod_plus"))).to_json() == {
        "plan": "plus",
        "requested_plan": "plus",
        "status": "active",
        "standing": "good",
        "quantity": 1,
        "currency": "usd",
        "subscription_id": "sub_1",
        "current_period_start": "2026-11-01T00:00:00+00:00",
        "current_period_end": "2026-12-01T00:00:00+00:00",
        "cancel_at": None,
        "returned_payments": [],
        "granted_plan": None,
        "granted_until": None,
        "leaving": False,
    }
