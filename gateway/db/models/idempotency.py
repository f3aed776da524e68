"""Requests with an ``Idempotency-Key``, and our answers to them."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Base


class IdempotencyKey(Base):
    """An organization's idempotency key. A key without an answer is in flight. The gateway keeps a key for a day."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        # a half-stored answer could not be sent again
        CheckConstraint("(status IS NULL) = (body IS NULL)", name="answer"),
        Index(None, "created_at"),  # for pruning
    )

    organization_id: Mapped[str] = mapped_column(primary_key=True)  # no foreign key, because it may not exist yet
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    """A digest of method, path and body. The same key with another digest is the client's mistake."""
    claimed_at: Mapped[datetime]
    """When a request claimed the key. A claim that is too old counts as abandoned, and a retry may take it over."""
    change_id: Mapped[str | None] = mapped_column(ForeignKey("plan_changes.id"))
    """The change that the request began. A retry that takes over the claim resumes it."""
    status: Mapped[int | None]
    location: Mapped[str | None]
    body: Mapped[str | None]
    created_at: Mapped[datetime]
