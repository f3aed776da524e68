"""What people ask of sales."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Base


class SalesInquiry(Base):
    """A filled-in contact form, and how far its way to sales' own system has come."""

    __tablename__ = "sales_inquiries"
    __table_args__ = (
        Index(None, "organization_id", "created_at"),  # how many there were in the last hour
        Index("ix_sales_inquiries_undelivered", "created_at", postgresql_where=text("delivered_at IS NULL")),
        # the interface bounds them first; a row beyond is a mistake of ours
        CheckConstraint("char_length(message) BETWEEN 1 AND 5000", name="message"),
        CheckConstraint("attempts >= 0", name="attempts"),
        # nothing is due any more once it was delivered
        CheckConstraint("delivered_at IS NULL OR next_attempt_at IS NULL", name="delivered"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    """Also the webhook's id: the same on each attempt, so that the receiver can tell a repetition."""
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    actor: Mapped[str]
    name: Mapped[str]
    email: Mapped[str]
    company: Mapped[str]
    message: Mapped[str]
    created_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(server_default="0")
    next_attempt_at: Mapped[datetime | None]
    """None: delivered, given up, or there is nowhere to deliver it to."""
    error: Mapped[str | None]
    """What the last attempt met."""
    delivered_at: Mapped[datetime | None]
