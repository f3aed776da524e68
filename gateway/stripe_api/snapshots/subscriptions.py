"""Snapshots of subscriptions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

from gateway.stripe_api.events import JsonObject, UnreadableObject
from gateway.stripe_api.snapshots.base import (
    Seen,
    Snapshot,
    flag,
    id_of,
    integer_or_none,
    natural,
    required_id,
    strict,
    text,
    word,
)
from gateway.stripe_api.snapshots.discounts import discount_ids_of
from gateway.stripe_api.times import from_unix, from_unix_or_none

CHANGE_ID_KEY = "change_id"  # the metadata key with the id of the plan change that Stripe last carried out
ENDED = frozenset({"canceled", "incomplete_expired"})  # Stripe's terminal statuses
TRIALING = "trialing"
STATUSES = ENDED | {TRIALING, "incomplete", "active", "past_due", "unpaid", "paused"}


@dataclass(frozen=True, kw_only=True)
class SubscriptionItem:
    """One subscription item. Since API version basil, only the items carry the subscription's period."""

    id: str
    price_id: str
    product_id: str
    quantity: int
    metered: bool
    """Whether Stripe bills the item by usage, in arrears."""
    unit_amount: int | None
    """The price of one unit in minor units. None if the price has tiers or a fraction of a minor unit."""
    unit_amount_decimal: str | None
    """The price of one unit if it has a fraction of a minor unit, otherwise None."""
    interval: str
    """The unit of the billing interval: day, week, month or year."""
    interval_count: int
    created: datetime
    """When it was added to the subscription. Its first period may begin earlier."""
    current_period_start: datetime
    current_period_end: datetime

    @classmethod
    def read(cls, item: JsonObject) -> Self:
        """Read an item. A metered item has no quantity and counts as one."""
        whole, exact = item["price"]["unit_amount"], item["price"].get("unit_amount_decimal")
        return cls(
            id=required_id(item),
            price_id=required_id(item["price"]),
            product_id=required_id(item["price"]["product"]),
            quantity=natural(1 if item.get("quantity") is None else item["quantity"]),
            metered=item["price"]["recurring"]["usage_type"] == "metered",
            unit_amount=integer_or_none(whole),
            unit_amount_decimal=word(exact) if whole is None and exact is not None else None,
            interval=word(item["price"]["recurring"]["interval"]),
            interval_count=natural(item["price"]["recurring"]["interval_count"]),
            created=from_unix(item["created"]),
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
    cancel_at_period_end: bool
    default_payment_method_id: str | None
    """What Stripe charges before it looks at the customer: the payment method, or else the source of older accounts."""
    collection_method: str
    billing_mode: str
    """``flexible`` or ``classic``, the mode of older accounts, in which Stripe prorates and bills usage differently."""
    schedule_id: str | None
    pause_behavior: str | None
    """What Stripe does with invoices while collection is paused. None if it is not paused."""
    paused_until: datetime | None
    """When Stripe resumes collection. None if it is not paused, or paused without an end."""
    trial_end: datetime | None
    missing_payment_method: str | None
    """What Stripe does if a trial ends without a payment method: ``cancel``, ``create_invoice`` or ``pause``."""
    automatic_tax: bool
    """Whether Stripe computes the taxes."""
    invoices_pending: bool
    """Whether Stripe invoices pending items at an interval of their own, and not only with the period."""
    discount_ids: tuple[str, ...]
    """The discounts of the subscription and of its items."""
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
        """Read a subscription. Raise UnreadableObject for an unknown status, because we must not guess its meaning."""
        if stripe_object["status"] not in STATUSES:
            raise UnreadableObject(f"unknown status {stripe_object['status']!r}")
        items = stripe_object["items"]
        pause = stripe_object["pause_collection"] or {}
        trial = stripe_object.get("trial_settings") or {"end_behavior": {}}
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
            cancel_at_period_end=flag(stripe_object["cancel_at_period_end"]),
            default_payment_method_id=id_of(
                stripe_object["default_payment_method"] or stripe_object.get("default_source")
            ),
            collection_method=word(stripe_object["collection_method"]),
            billing_mode=word(stripe_object["billing_mode"]["type"]),
            schedule_id=id_of(stripe_object["schedule"]),
            pause_behavior=text(pause.get("behavior")),
            paused_until=from_unix_or_none(pause.get("resumes_at")),
            trial_end=from_unix_or_none(stripe_object["trial_end"]),
            missing_payment_method=text(trial["end_behavior"].get("missing_payment_method")),
            automatic_tax=flag(stripe_object["automatic_tax"]["enabled"]),
            invoices_pending=stripe_object.get("pending_invoice_item_interval") is not None,
            discount_ids=discount_ids_of(stripe_object),
            latest_invoice_id=id_of(stripe_object["latest_invoice"]),
            change_id=text(stripe_object["metadata"].get(CHANGE_ID_KEY)),
            pending_until=from_unix_or_none((stripe_object["pending_update"] or {}).get("expires_at")),
            created=from_unix(stripe_object["created"]),
            seen=seen,
        )
