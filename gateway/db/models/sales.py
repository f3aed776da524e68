"""Inquiries to the sales team."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Base


class SalesInquiry(Base):
    """A completed contact form, and the state of its delivery to the sales system."""

    __tablename__ = "sales_inquiries"
    __table_args__ = (
        Index(None, "organization_id", "created_at"),  # counts the inquiries of the last hour
        Index("ix_sales_inquiries_undelivered", "created_at", postgresql_where=text("delivered_at IS NULL")),
        # The interface already refuses other lengths, so a violation is our own mistake.
        CheckConstraint("char_length(message) BETWEEN 1 AND 5000", name="message"),
        CheckConstraint("attempts >= 0", name="attempts"),
        # A delivered inquiry with another attempt due would be delivered twice.
        CheckConstraint("delivered_at IS NULL OR next_attempt_at IS NULL", name="delivered"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    """Also the webhook's id. It is the same on each attempt, so that the receiver recognizes a redelivery."""
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    actor: Mapped[str]
    name: Mapped[str]
    email: Mapped[str]
    company: Mapped[str]
    message: Mapped[str]
    created_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(server_default="0")
    next_attempt_at: Mapped[datetime | None]
    """None if the inquiry was delivered, if the gateway gave up, or if no sales endpoint is configured."""
    error: Mapped[str | None]
    """The error of the last attempt."""
    delivered_at: Mapped[datetime | None]
