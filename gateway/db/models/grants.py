"""Complimentary plans and longer trials, which sales or support give an organization."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Base


class Grant(Base):
    """A complimentary plan, or a longer trial of a plan.

    A trigger allows only one change of a row, its end, and refuses to delete a row.
    """

    __tablename__ = "grants"
    __table_args__ = (
        # Unique, because two commands may run at the same moment. Ending one grant would leave the other one's plan.
        Index(
            "uq_grants_running",
            "organization_id",
            "extends_trial",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index("ix_grants_due", "until", postgresql_where=text("ended_at IS NULL")),  # read by the job each minute
        # A grant that ends before it begins would never be shown, but would still block another one.
        CheckConstraint("until > created_at", name="until"),
        # A running grant that names who ended it would look ended to operators.
        CheckConstraint("ended_by IS NULL OR ended_at IS NOT NULL", name="ended"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    extends_trial: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether it moves the end of a trial at Stripe, and grants no plan itself."""
    plan: Mapped[str]
    until: Mapped[datetime]
    reason: Mapped[str]
    granted_by: Mapped[str]
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    """When the plan table lost it. A reader must look at ``until`` too, because the job may be late."""
    ended_by: Mapped[str | None]
    """The person who ended it early. None if it ended by time."""
