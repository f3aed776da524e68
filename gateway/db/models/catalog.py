"""The mirror of Stripe's catalogue. A plan is a Stripe product with prices."""

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Mirrored


class Plan(Mirrored):
    """A Stripe product that stands for one of our plans. Its metadata names the plan."""

    __tablename__ = "plans"

    product_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str | None]
    """The plan's key, or None if someone removed the metadata. The product's subscriptions are then unmapped."""
    name: Mapped[str]
    active: Mapped[bool]


class Price(Mirrored):
    """A Stripe price. It has no foreign key to the plan, because its event may arrive before the product's."""

    __tablename__ = "prices"
    __table_args__ = (
        # Not unique. When Stripe moves a lookup key to another price, the two events may arrive in the wrong order, and
        # for a moment both prices have the key.
        Index("ix_prices_lookup_key", "lookup_key"),
        Index("ix_prices_product_id", "product_id"),
        CheckConstraint("unit_amount >= 0", name="unit_amount"),  # never negative at Stripe
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    product_id: Mapped[str]
    lookup_key: Mapped[str | None]
    currency: Mapped[str]
    unit_amount: Mapped[int | None]
    interval: Mapped[str | None]
    active: Mapped[bool]
