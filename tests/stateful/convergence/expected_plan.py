"""The plan that follows from Stripe's JSON, by rules of its own."""

from collections.abc import Container, Iterable
from datetime import UTC, datetime

from tests.support.json_types import Json

OVER = ("canceled", "incomplete_expired")
USABLE = ("trialing", "active", "past_due")
STANDING = {"past_due": "grace", "unpaid": "suspended", "paused": "suspended", "incomplete_expired": "suspended"}

NO_PLAN: Json = {
    "plan": "free",
    "requested_plan": "free",
    "status": "none",
    "standing": "good",
    "quantity": 1,
    "currency": None,
    "subscription_id": None,
    "current_period_start": None,
    "current_period_end": None,
    "cancel_at": None,
    "returned_payments": [],
    "granted_plan": None,
    "granted_until": None,
    "leaving": False,
}


def iso(seconds: int | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


RANKING = ("free", "unmapped", "plus", "enterprise")
STANDINGS = ("good", "grace", "suspended")


def plan_row(
    subscriptions: Iterable[Json],
    plans: dict[str, str],
    invoices: dict[str, Json],
    *,
    deleted: bool,
    had_plan: Container[str],
    now: datetime,
) -> Json:
    """Return the plan table row of a customer with these subscriptions.

    ``plans`` maps products to plans. ``had_plan`` has the ids of the subscriptions that stand for a plan even without a
    plan's item.
    """
    found = [each for each in subscriptions if each["id"] in had_plan or plan_items(each, plans)]
    if deleted or not found:
        return NO_PLAN

    def precedence(each: Json) -> tuple[bool, bool, int, int, str]:
        live = each["status"] not in OVER
        rank = RANKING.index(base_of(each, plans)[0]) if live else 0
        return live, each["status"] in USABLE, rank, each["created"], each["id"]

    current = max(found, key=precedence)
    plan, item = base_of(current, plans)
    over = current["status"] in OVER
    owed = [each for each in invoices.values() if each["subscription_id"] == current["id"]]
    standing = standing_of(current, owed, now)
    row = {
        "plan": plan if current["status"] in USABLE and standing != "suspended" else "free",
        "requested_plan": "free" if over else plan,
        "status": current["status"],
        "standing": standing,
        "quantity": 1 if over else item.get("quantity", 1),  # a metered item has none
        "currency": current["currency"],
        "subscription_id": current["id"],
        "current_period_start": None if over else iso(item["current_period_start"]),
        "current_period_end": None if over else iso(item["current_period_end"]),
        "cancel_at": iso(current["cancel_at"]),
        "returned_payments": [],
        "granted_plan": None,
        "granted_until": None,
        "leaving": False,
    }
    if standing is None:
        del row["standing"]
    return row


def plan_items(subscription: Json, plans: dict[str, str]) -> list[Json]:
    return [item for item in subscription["items"]["data"] if item["price"]["product"] in plans]


def base_of(subscription: Json, plans: dict[str, str]) -> tuple[str, Json]:
    """Return the plan of a subscription and its item: licensed before metered, the highest plan, the highest price."""
    items = sorted(subscription["items"]["data"], key=lambda item: str(item["id"]))
    if not (known := plan_items(subscription, plans)):
        return "unmapped", items[0]
    ranked = [
        (
            each["price"]["recurring"]["usage_type"] == "licensed",
            RANKING.index(plans[each["price"]["product"]]),
            each["price"]["unit_amount"] or 0,
            each["id"],
            each,
        )
        for each in known
    ]
    item = max(ranked, key=lambda each: each[:4])[4]
    return plans[item["price"]["product"]], item


def standing_of(subscription: Json, invoices: list[Json], now: datetime) -> str | None:
    """Return the standing, or None if it also depends on what it was before."""
    status = subscription["status"]
    if status not in USABLE:
        return STANDING.get(status, "good")
    owed = [each for each in invoices if each["status"] in ("open", "uncollectible") and each["amount_remaining"] > 0]
    owed = [each for each in owed if not is_parked(subscription, each)]
    if status != "past_due" and any(is_overtaken(subscription, each, invoices) for each in owed):
        return None
    owed = [each for each in owed if not is_free_of_charge(each)]
    if not owed:
        return STANDING.get(status, "good")
    each_one = {meaning_of(each, status, now) for each in owed}
    known = max((each for each in each_one if each is not None), key=STANDINGS.index, default="good")
    return None if None in each_one and known == "good" else known


def is_parked(subscription: Json, invoice: Json) -> bool:
    """Return whether Stripe has not made the change that the invoice is for."""
    waits = invoice["billing_reason"] == "subscription_update" and subscription["pending_update"] is not None
    return waits and subscription["latest_invoice"] == invoice["id"]


def is_overtaken(subscription: Json, invoice: Json, invoices: list[Json]) -> bool:
    """Return whether the times do not show that the change of this invoice came before the present state."""
    later = [each for each in invoices if each["id"] == subscription["latest_invoice"] != invoice["id"]]
    made_together = any(each["created"] <= invoice["created"] for each in later)
    return invoice["billing_reason"] == "subscription_update" and made_together


def is_free_of_charge(invoice: Json) -> bool:
    """Return whether Stripe wrote the invoice off untried, because collection was paused."""
    sent = invoice["collection_method"] == "send_invoice"
    return invoice["status"] == "uncollectible" and not invoice["attempted"] and not sent


def meaning_of(invoice: Json, status: str, now: datetime) -> str | None:
    """Return the standing that one unpaid invoice means, or None if it leaves the standing as it was."""
    if invoice["payment_under_way"]:
        return "good"
    if invoice["collection_method"] == "send_invoice":
        return "grace" if invoice["due_date"] is not None and invoice["due_date"] <= now else "good"
    if not invoice["attempted"]:
        return None if status == "past_due" else "good"
    waits = invoice["status"] == "open" and invoice["next_payment_attempt"] is not None
    return "grace" if waits else "suspended"
