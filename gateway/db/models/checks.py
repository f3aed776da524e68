"""The results of the periodic checks that call Stripe, such as the one of the webhook endpoint."""

from datetime import datetime

from sqlalchemy import Double
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Base


class Check(Base):
    """The last result of a check that calls Stripe. A readiness request reads it and need not call Stripe."""

    __tablename__ = "checks"

    name: Mapped[str] = mapped_column(primary_key=True)
    problem: Mapped[str | None]
    """A description of the problem, or None if there is none."""
    checked_at: Mapped[datetime]
    seconds: Mapped[float | None] = mapped_column(Double)
    """What the check measured. None if it failed, or measures nothing."""
