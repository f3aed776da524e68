"""The subscription and the item that count, whatever else a customer has bought."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from gateway.db.models import Subscription
from gateway.services.plan_table.selection import (
    Plans,
    list_duplicates,
    select_base_item,
    select_current_subscription,
)

START = datetime(2026, 11, 1, tzinfo=UTC)
PLANS = Plans(
    {"prod_free": "free", "prod_plus": "plus", "prod_enterprise": "enterprise"}, ("free", "plus", "enterprise")
)


def item(name: str, product: str, *, metered: bool = False, unit_amount: int | None = 100) -> dict[str, Any]:
    return {"id": name, "product_id": product, "metered": metered, "unit_amount": unit_amount, "quantity": 1}


def subscription(
    name: str,
    *products: str,
    status: str = "active",
    day: int = 0,
    change_id: str | None = None,
    had_plan: bool = False,
) -> Subscription:
    return Subscription(
        id=name,
        status=status,
        items=[item(f"si_{place}_{name}", product) for place, product in enumerate(products)],
        created=START + timedelta(days=day),
        change_id=change_id,
        had_plan=had_plan,
    )


FREE = subscription("free", "prod_free")
PLUS = subscription("plus", "prod_plus", day=1)
ENTERPRISE = subscription("enterprise", "prod_enterprise", day=2)
COACHING = subscription("coaching", "prod_coaching", day=8)
STICKERS = subscription("stickers", "prod_stickers", status="past_due", day=9)
LOST = subscription("lost", "prod_strange", day=9, had_plan=True)
MADE_BY_US = subscription("made by us", "prod_strange", day=9, change_id="chg_1")
WAS_PLUS = subscription("was plus", "prod_plus", status="canceled", day=9)
NEWER_PLUS = subscription("newer plus", "prod_plus", day=5)
UNPAID_ENTERPRISE = subscription("unpaid", "prod_enterprise", status="unpaid", day=9)
BEGUN_ENTERPRISE = subscription("begun", "prod_enterprise", status="incomplete", day=9)


@pytest.mark.parametrize(
    ("subscriptions", "current", "others"),
    [
        ([COACHING], None, []),
        ([COACHING, STICKERS], None, []),
        ([PLUS, COACHING, STICKERS], "plus", []),
        ([FREE, COACHING], "free", []),
        ([WAS_PLUS, COACHING], "was plus", []),
        ([FREE, WAS_PLUS], "free", []),
        ([FREE, PLUS, ENTERPRISE], "enterprise", ["free", "plus"]),
        ([ENTERPRISE, NEWER_PLUS], "enterprise", ["newer plus"]),
        ([PLUS, NEWER_PLUS, WAS_PLUS, COACHING], "newer plus", ["plus"]),
        ([PLUS, UNPAID_ENTERPRISE], "plus", ["unpaid"]),
        ([PLUS, BEGUN_ENTERPRISE], "plus", ["begun"]),
        ([LOST], "lost", []),
        ([MADE_BY_US, COACHING], "made by us", []),
        ([LOST, FREE], "lost", ["free"]),
        ([LOST, PLUS], "plus", ["lost"]),
    ],
)
def test_the_highest_plan_counts_and_others_are_named(
    subscriptions: list[Subscription], current: str | None, others: list[str]
) -> None:
    for order in permutations(subscriptions):
        found = select_current_subscription(order, PLANS)
        assert (found.id if found is not None else None) == current
        assert [each.id for each in list_duplicates(order, PLANS)] == others


PLUS_ITEM = item("si_5", "prod_plus")
PLUS_USAGE = item("si_1", "prod_plus", metered=True, unit_amount=900)


@pytest.mark.parametrize(
    ("items", "plan", "base"),
    [
        ([PLUS_ITEM, PLUS_USAGE], "plus", "si_5"),
        ([PLUS_USAGE], "plus", "si_1"),
        ([PLUS_ITEM, PLUS_USAGE, item("si_0", "prod_plus", metered=True)], "plus", "si_5"),
        ([PLUS_ITEM, item("si_0", "prod_coaching")], "plus", "si_5"),
        ([PLUS_ITEM, item("si_9", "prod_enterprise", metered=True)], "plus", "si_5"),
        ([PLUS_ITEM, item("si_9", "prod_free", unit_amount=0)], "plus", "si_5"),
        ([PLUS_ITEM, item("si_0", "prod_enterprise", unit_amount=None)], "enterprise", "si_0"),
        ([PLUS_ITEM, item("si_0", "prod_plus", unit_amount=5000)], "plus", "si_0"),
        ([PLUS_ITEM, item("si_9", "prod_plus", unit_amount=None)], "plus", "si_5"),
        ([item("si_3", "prod_coaching"), item("si_4", "prod_strange")], "unmapped", "si_3"),
    ],
)
def test_the_licensed_item_of_the_highest_plan_counts(items: list[dict[str, Any]], plan: str, base: str) -> None:
    for order in permutations(items) if plan != "unmapped" else [items]:
        found, its_item = select_base_item(Subscription(items=list(order)), PLANS)
        assert (found, its_item["id"]) == (plan, base)
