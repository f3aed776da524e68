"""The budget of calls to Stripe."""

from datetime import datetime

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Base


class StripeBudget(Base):
    """The rate of calls to Stripe that all processes share. The table has one row."""

    __tablename__ = "stripe_budget"
    # With two rows, the processes would use two budgets and exceed Stripe's rate limit. With negative strikes, the
    # length of the next pause could not be calculated.
    __table_args__ = (CheckConstraint("id = 1", name="one_row"), CheckConstraint("strikes >= 0", name="strikes"))

    id: Mapped[int] = mapped_column(primary_key=True, server_default="1", autoincrement=False)
    used_until: Mapped[datetime]
    """The time up to which Stripe's rate is used up, by PostgreSQL's clock."""
    paused_until: Mapped[datetime | None]
    """After a 429, background work makes no call before this time."""
    strikes: Mapped[int] = mapped_column(server_default="0")
    """The number of consecutive pauses. Each pause is longer than the one before."""
    breaker_open_until: Mapped[datetime | None]
    """The time until which a process that stopped calling Stripe shows as open, by PostgreSQL's clock."""
