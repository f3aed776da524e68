"""The mirror of Stripe's subscriptions and invoices: the fields that are used, no more."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Json, Mirrored


class Subscription(Mirrored):
    """A Stripe subscription. ``items`` keeps each item's id, price, product, quantity and period."""

    __tablename__ = "subscriptions"
    __table_args__ = (
        Index(None, "organization_id"),
        CheckConstraint(
            "status IN ('incomplete', 'incomplete_expired', 'trialing', 'active', 'past_due', 'canceled',"
            " 'unpaid', 'paused')",
            name="status",  # Stripe's own values: a new one must be thought about, not passed on
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    status: Mapped[str]
    currency: Mapped[str]
    items: Mapped[list[Json]]
    cancel_at: Mapped[datetime | None]
    latest_invoice_id: Mapped[str | None]
    change_id: Mapped[str | None]
    """The plan change that Stripe last carried out, from the subscription's metadata."""
    pending_until: Mapped[datetime | None]
    """Until when a change of it waits for its payment; None if none does."""
    created: Mapped[datetime]


class Invoice(Mirrored):
    """A Stripe invoice."""

    __tablename__ = "invoices"
    __table_args__ = (
        Index(None, "organization_id", "created"),
        CheckConstraint("status IN ('draft', 'open', 'paid', 'uncollectible', 'void', 'deleted')", name="status"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    subscription_id: Mapped[str | None]
    status: Mapped[str]
    billing_reason: Mapped[str | None]
    number: Mapped[str | None]
    currency: Mapped[str]
    total: Mapped[int]
    amount_due: Mapped[int]
    amount_paid: Mapped[int]
    amount_remaining: Mapped[int]
    next_payment_attempt: Mapped[datetime | None]
    hosted_invoice_url: Mapped[str | None]
    invoice_pdf: Mapped[str | None]
    created: Mapped[datetime]


class UpcomingInvoice(Mirrored):
    """What Stripe calculated three days ahead: ``invoice.upcoming`` has no id, so one row a subscription."""

    __tablename__ = "upcoming_invoices"
    __table_args__ = (CheckConstraint("amount_due >= 0", name="amount_due"),)

    subscription_id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    amount_due: Mapped[int]
    currency: Mapped[str]
    billing_date: Mapped[datetime]
