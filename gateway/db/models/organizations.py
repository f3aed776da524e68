"""Organizations and their payment methods, which mirror Stripe's customers and payment methods."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Mirrored


class Organization(Mirrored):
    """A Konnect organization, and its Stripe customer if it has one."""

    __tablename__ = "organizations"

    id: Mapped[str] = mapped_column(primary_key=True)
    # Unique, because a webhook names only the customer. Two organizations would make it ambiguous.
    stripe_customer_id: Mapped[str | None] = mapped_column(unique=True)
    name: Mapped[str | None]
    email: Mapped[str | None]
    default_payment_method_id: Mapped[str | None]
    default_source_id: Mapped[str | None]
    """What Stripe charges if neither the subscription nor the invoice settings name a payment method."""
    currency: Mapped[str | None]
    """The customer's currency at Stripe, which accepts no other once it is set."""
    country: Mapped[str | None]
    """The country of the customer's address, from which Stripe computes automatic tax."""
    balance: Mapped[int] = mapped_column(server_default="0")
    """Stripe's customer balance in minor units. A negative balance is a credit."""
    deleted: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether the customer was deleted at Stripe. The organization then stays on the floor plan forever."""
    customer_key: Mapped[int] = mapped_column(server_default="0")
    """The number of the idempotency key that creates the customer. It grows when the old key can no longer be used."""
    customer_key_since: Mapped[datetime | None]
    """When the gateway first used that key."""
    created_at: Mapped[datetime]


class PaymentMethod(Mirrored):
    """A payment method as Stripe describes it. A detached one keeps its row, or a late event could bring it back."""

    __tablename__ = "payment_methods"
    __table_args__ = (Index(None, "organization_id"),)  # lists what an organization has on file

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    type: Mapped[str] = mapped_column(server_default="card")
    label: Mapped[str] = mapped_column(server_default="")
    """What a person recognizes it by. Empty until Stripe has shown the payment method."""
    brand: Mapped[str | None]
    last4: Mapped[str | None]
    exp_month: Mapped[int | None]
    exp_year: Mapped[int | None]
    detached: Mapped[bool] = mapped_column(server_default=text("false"))
