"""Organizations and their cards: the mirror of Stripe's customers and payment methods."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Mirrored


class Organization(Mirrored):
    """An organization of Konnect's, and its Stripe customer once it has one."""

    __tablename__ = "organizations"

    id: Mapped[str] = mapped_column(primary_key=True)
    # unique: a webhook names the customer, and must find exactly one organization
    stripe_customer_id: Mapped[str | None] = mapped_column(unique=True)
    name: Mapped[str | None]
    email: Mapped[str | None]
    default_payment_method_id: Mapped[str | None]
    balance: Mapped[int] = mapped_column(server_default="0")
    """Stripe's customer balance in minor units: negative is credit."""
    deleted: Mapped[bool] = mapped_column(server_default=text("false"))
    """The customer was deleted at Stripe: the organization is on Free for good."""
    customer_key: Mapped[int] = mapped_column(server_default="0")
    """Number of the idempotency key that creates the customer: another one once Stripe cannot be asked by it again."""
    customer_key_since: Mapped[datetime | None]
    """When that key was first used."""
    created_at: Mapped[datetime]


class PaymentMethod(Mirrored):
    """A card as Stripe describes it. A detached one stays, so that a late event cannot bring it back."""

    __tablename__ = "payment_methods"
    __table_args__ = (Index(None, "organization_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    brand: Mapped[str | None]
    last4: Mapped[str | None]
    exp_month: Mapped[int | None]
    exp_year: Mapped[int | None]
    detached: Mapped[bool] = mapped_column(server_default=text("false"))
