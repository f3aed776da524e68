"""The levels that the quantities of subscriptions follow, such as the number of services."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Base


class UsageLevel(Base):
    """How many an organization has of what a plan's quantity counts, as a service last reported it."""

    __tablename__ = "usage_levels"
    __table_args__ = (
        CheckConstraint("value >= 0", name="value"),  # the interface refuses less, so less is our own mistake
        # The worker looks for the levels that wait.
        Index("ix_usage_levels_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        # Each scrape of the metrics counts the levels that the quantity cannot follow.
        Index("ix_usage_levels_obstacle", "obstacle", postgresql_where=text("obstacle IS NOT NULL")),
    )

    # No foreign key. A service may report an organization that the gateway has never seen.
    organization_id: Mapped[str] = mapped_column(primary_key=True)
    unit: Mapped[str] = mapped_column(primary_key=True)
    """What the level counts, as plans of the catalogue name it."""
    value: Mapped[int]
    due_at: Mapped[datetime | None]
    """When the worker compares the level with the quantity. None if it is not waiting."""
    changed_at: Mapped[datetime | None]
    """When the quantity last followed the level."""
    quoted_until: Mapped[datetime | None]
    """Until when a quote may be valid. A change of the quantity would make it stale."""
    obstacle: Mapped[str | None]
    """Why the quantity stays below the level, as the code of an error or ``max_quantity``. None if it does not."""
