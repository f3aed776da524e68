"""Snapshots of products and prices."""

from dataclasses import dataclass
from typing import ClassVar, Self

from gateway.stripe_api.events import JsonObject
from gateway.stripe_api.snapshots.base import Seen, Snapshot, flag, natural, required_id, strict, text, word

PLAN = "konnect_plan"  # the metadata key that names the plan which a product stands for


@dataclass(frozen=True, kw_only=True)
class ProductSnapshot(Snapshot):
    """A product: https://docs.stripe.com/api/products/object."""

    kind: ClassVar[str] = "product"

    key: str | None
    """The plan that the product stands for, or None if it stands for no plan."""
    name: str
    active: bool
    deleted: bool = False

    @property
    def rank(self) -> int:
        """Return 1 for a deleted product, which stays deleted, and 0 otherwise."""
        return int(self.deleted)

    @classmethod
    @strict
    def read(cls, stripe_object: JsonObject, seen: Seen) -> Self:
        """Read a product."""
        return cls(
            id=required_id(stripe_object),
            key=text(stripe_object["metadata"].get(PLAN)),
            name=text(stripe_object["name"]) or "",
            active=flag(stripe_object["active"]),
            seen=seen,
        )


@dataclass(frozen=True, kw_only=True)
class PriceSnapshot(Snapshot):
    """A price: https://docs.stripe.com/api/prices/object."""

    kind: ClassVar[str] = "price"

    product_id: str
    lookup_key: str | None
    currency: str
    unit_amount: int | None
    interval: str | None
    active: bool
    deleted: bool = False

    @property
    def rank(self) -> int:
        """Return 1 for a deleted price, which stays deleted, and 0 otherwise."""
        return int(self.deleted)

    @classmethod
    @strict
    def read(cls, stripe_object: JsonObject, seen: Seen) -> Self:
        """Read a price. ``unit_amount`` is None for tiers and for an amount with a fraction of a cent."""
        recurring = stripe_object["recurring"]
        return cls(
            id=required_id(stripe_object),
            product_id=required_id(stripe_object["product"]),
            lookup_key=text(stripe_object["lookup_key"]),
            currency=word(stripe_object["currency"]),
            unit_amount=None if stripe_object["unit_amount"] is None else natural(stripe_object["unit_amount"]),
            interval=word(recurring["interval"]) if recurring else None,
            active=flag(stripe_object["active"]),
            seen=seen,
        )
