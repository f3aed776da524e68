"""What periodic checks found."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Base


class Check(Base):
    """The last result of a check that asks Stripe, so that a readiness request need not."""

    __tablename__ = "checks"

    name: Mapped[str] = mapped_column(primary_key=True)
    problem: Mapped[str | None]
    """What is wrong, in words; None: nothing."""
    checked_at: Mapped[datetime]
