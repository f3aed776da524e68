"""The counts of callers' requests and of declined payments."""

from datetime import datetime

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Base


class RateLimitCount(Base):
    """What one caller has done within one window of time. An expired row counts as 0, and the retention job deletes it.

    The table is UNLOGGED. PostgreSQL writes no log for it, so the commit of a count waits for no disk. A crash empties
    the table, and a failover starts with an empty one. All windows then begin again, which does no lasting harm.
    """

    __tablename__ = "rate_limit_counts"
    __table_args__ = (
        # A negative count would let a caller exceed the limit.
        CheckConstraint("count >= 0", name="count"),
        {"prefixes": ["UNLOGGED"]},
    )

    key: Mapped[str] = mapped_column(primary_key=True)
    """The limit and a digest of the caller. User ids and addresses are personal data, so no row contains one."""
    count: Mapped[int]
    expires_at: Mapped[datetime]
    """The end of the window, by PostgreSQL's clock."""
