"""Requests with an ``Idempotency-Key``, and what they were answered."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Base


class IdempotencyKey(Base):
    """One key of one organization's: being worked on while it has no answer. Kept for a day."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        CheckConstraint("(status IS NULL) = (body IS NULL)", name="answer"),
        Index(None, "created_at"),  # for pruning
    )

    organization_id: Mapped[str] = mapped_column(primary_key=True)  # no foreign key: it may be about to be created
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    """Of method, path and body: the same key with another request is a mistake."""
    claimed_at: Mapped[datetime]
    """Since when somebody works on it; after a while he is taken for dead."""
    change_id: Mapped[str | None] = mapped_column(ForeignKey("plan_changes.id"))
    """The change that the request began: whoever takes over goes on with it."""
    status: Mapped[int | None]
    location: Mapped[str | None]
    body: Mapped[str | None]
    created_at: Mapped[datetime]
