"""Snapshots of subscriptions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

from gateway.stripe_api.events import JsonObject, UnreadableObject
from gateway.stripe_api.snapshots.base import Seen, Snapshot, id_of, natural, required_id, strict, text, word
from gateway.stripe_api.times import from_unix, from_unix_or_none

CHANGE_ID = "change_id"  # the metadata key with the id of the plan change that Stripe last carried out
ENDED = frozenset({"canceled", "incomplete_expired"})  # Stripe's terminal statuses
STATUSES = ENDED | {"incomplete", "trialing", "active", "past_due", "unpaid", "paused"}


@dataclass(frozen=True, kw_only=True)
class SubscriptionItem:
    """One subscription item. Since API version basil, only the items carry the subscription's period."""

    id: str
    price_id: str
    product_id: str
    quantity: int
    metered: bool
    """Whether Stripe bills the item by usage, in arrears."""
    current_period_start: datetime
    current_period_end: datetime

    @classmethod
    def read(cls, item: JsonObject) -> Self:
        """Read an item. A metered item has no quantity and counts as one."""
        return cls(
            id=required_id(item),
            price_id=required_id(item["price"]),
            product_id=required_id(item["price"]["product"]),
            quantity=natural(1 if item.get("quantity") is None else item["quantity"]),
            metered=item["price"]["recurring"]["usage_type"] == "metered",
            current_period_start=from_unix(item["current_period_start"]),
            current_period_end=from_unix(item["current_period_end"]),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the item as JSON for the mirror's jsonb column, with times in ISO 8601."""
        return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in vars(self).items()}


@dataclass(frozen=True, kw_only=True)
class SubscriptionSnapshot(Snapshot):
    """A subscription: https://docs.stripe.com/api/subscriptions/object."""

    kind: ClassVar[str] = "subscription"

    customer_id: str
    status: str
    currency: str
    items: tuple[SubscriptionItem, ...]
    cancel_at: datetime | None
    latest_invoice_id: str | None
    change_id: str | None
    pending_until: datetime | None
    created: datetime

    @property
    def owner(self) -> str:
        """Return the subscription's customer."""
        return self.customer_id

    @property
    def rank(self) -> int:
        """Return 1 for an ended subscription, which never becomes active again, and 0 otherwise."""
        return int(self.status in ENDED)

    @classmethod
    @strict
    def read(cls, stripe_object: JsonObject, seen: Seen) -> Self:
        """Read a subscription. Raises UnreadableObject for an unknown status, because we must not guess its meaning."""
        if stripe_object["status"] not in STATUSES:
            raise UnreadableObject(f"unknown status {stripe_object['status']!r}")
        items = stripe_object["items"]
        if items.get("has_more") or not items["data"]:
            raise UnreadableObject("the object does not show all of the subscription's items")
        return cls(
            id=required_id(stripe_object),
            customer_id=required_id(stripe_object["customer"]),
            status=stripe_object["status"],
            currency=word(stripe_object["currency"]),
            # Stripe promises no order of the items. Unsorted, the same items in another order would look like a change.
            items=tuple(sorted((SubscriptionItem.read(item) for item in items["data"]), key=lambda item: item.id)),
            cancel_at=from_unix_or_none(stripe_object["cancel_at"]),
            latest_invoice_id=id_of(stripe_object["latest_invoice"]),
            change_id=text(stripe_object["metadata"].get(CHANGE_ID)),
            pending_until=from_unix_or_none((stripe_object["pending_update"] or {}).get("expires_at")),
            created=from_unix(stripe_object["created"]),
            seen=seen,
        )
