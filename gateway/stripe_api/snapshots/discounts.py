"""Snapshots of discounts. Stripe returns no discount by its id, so each holder's discounts are one object here."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

from gateway.stripe_api.events import JsonObject
from gateway.stripe_api.snapshots.base import (
    Seen,
    Snapshot,
    id_of,
    integer_or_none,
    required_id,
    strict,
    text,
    word,
)
from gateway.stripe_api.times import from_unix_or_none


def discount_ids_of(holder: JsonObject) -> tuple[str, ...]:
    """Return the ids of a customer's discount, or of the discounts of a subscription and its items."""
    return tuple(sorted(required_id(each) for each in list_discounts(holder)))


def list_discounts(holder: JsonObject) -> list[Any]:
    """Return the discounts of a customer or of a subscription and its items, expanded or not."""
    if holder["object"] == "customer":
        return [holder["discount"]] if holder.get("discount") else []
    of_items = [each for item in holder["items"]["data"] for each in item.get("discounts") or ()]
    return [*holder["discounts"], *of_items]


@dataclass(frozen=True, kw_only=True)
class HeldDiscount:
    """A discount with its coupon: https://docs.stripe.com/api/discounts/object."""

    id: str
    name: str
    percent_off: float | None
    amount_off: int | None
    currency: str | None
    ends_at: datetime | None

    @classmethod
    def read(cls, discount: JsonObject) -> Self:
        """Read a discount with its expanded coupon. The coupon's id stands for a missing name."""
        coupon = discount["source"]["coupon"]
        return cls(
            id=required_id(discount),
            name=text(coupon["name"]) or required_id(coupon),
            percent_off=None if coupon["percent_off"] is None else float(coupon["percent_off"]),
            amount_off=integer_or_none(coupon["amount_off"]),
            currency=None if coupon["currency"] is None else word(coupon["currency"]),
            ends_at=from_unix_or_none(discount["end"]),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the discount as JSON for the mirror's jsonb column, with times in ISO 8601."""
        return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in vars(self).items()}


@dataclass(frozen=True, kw_only=True)
class DiscountsSnapshot(Snapshot):
    """The discounts of one holder, which is a subscription or a customer. The holder's id stands for them."""

    kind: ClassVar[str] = "discounts"

    customer_id: str
    entries: tuple[HeldDiscount, ...]

    @property
    def owner(self) -> str:
        """Return the customer."""
        return self.customer_id

    @classmethod
    @strict
    def read(cls, stripe_object: JsonObject, seen: Seen) -> Self:
        """Read the holder, with its discounts and their coupons expanded. A deleted customer has no discounts."""
        entries = (HeldDiscount.read(each) for each in list_discounts(stripe_object))
        return cls(
            id=required_id(stripe_object),
            customer_id=id_of(stripe_object.get("customer")) or required_id(stripe_object),
            entries=tuple(sorted(entries, key=lambda each: each.id)),
            seen=seen,
        )
