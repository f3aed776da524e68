"""Inquiries to the sales team."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Base


class SalesInquiry(Base):
    """A completed contact form. The notification with the same id brings it to the sales system."""

    __tablename__ = "sales_inquiries"
    __table_args__ = (
        Index(None, "organization_id", "created_at"),  # counts the inquiries of the last hour
        # The interface already refuses other lengths, so a violation is our own mistake.
        CheckConstraint("char_length(message) BETWEEN 1 AND 5000", name="message"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    actor: Mapped[str]
    name: Mapped[str]
    email: Mapped[str]
    company: Mapped[str]
    message: Mapped[str]
    created_at: Mapped[datetime]
