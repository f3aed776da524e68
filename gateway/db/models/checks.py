"""The last results of checks, for processes that did not make them."""

from datetime import datetime

from sqlalchemy import Double
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Base


class Check(Base):
    """The last result of a check, for processes that did not make it."""

    __tablename__ = "checks"

    name: Mapped[str] = mapped_column(primary_key=True)
    problem: Mapped[str | None]
    """A description of the problem, or None if there is none."""
    checked_at: Mapped[datetime]
    seconds: Mapped[float | None] = mapped_column(Double)
    """What the check measured. None if it failed, or measures nothing."""
