"""The catalogue as Stripe holds it: a plan is a Stripe product, and has prices."""

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Mirrored


class Plan(Mirrored):
    """A product of Stripe's that stands for a plan of ours (its metadata names the plan)."""

    __tablename__ = "plans"

    product_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str | None]
    """Which plan; None once somebody took the metadata away: its subscriptions are unmapped then."""
    name: Mapped[str]
    active: Mapped[bool]


class Price(Mirrored):
    """A price of Stripe's. No foreign key to the plan: its event may arrive before the product's."""

    __tablename__ = "prices"
    __table_args__ = (
        # Stripe moves a lookup key from one price to the next; two events in the wrong order must not fail on it
        Index("ix_prices_lookup_key", "lookup_key"),
        Index("ix_prices_product_id", "product_id"),
        CheckConstraint("unit_amount >= 0", name="unit_amount"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    product_id: Mapped[str]
    lookup_key: Mapped[str | None]
    currency: Mapped[str]
    unit_amount: Mapped[int | None]
    interval: Mapped[str | None]
    active: Mapped[bool]
