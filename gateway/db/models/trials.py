"""Which organizations have had their trial."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Base

TRIAL_END = "trial_end"  # key of ``PlanChange.steps``: when the trial ends that the change starts, in unix seconds


class Trial(Base):
    """The one trial of an organization. The row stays, even if the customer is deleted at Stripe.

    Only a change that ends as ``failed`` gives its trial back. Its row is then deleted.
    """

    __tablename__ = "trials"
    __table_args__ = (
        # The reason tells sales who used the trial up. An unknown one would tell them nothing.
        CheckConstraint("reason IN ('started', 'adopted', 'at_stripe')", name="reason"),
        # A failed change gives its own trial back. It must find that row, and no trial of another origin.
        CheckConstraint("(reason = 'started') = (change_id IS NOT NULL)", name="change"),
    )

    # The organization is the key, so that the database refuses a second trial even to concurrent enrolments.
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    reason: Mapped[str]
    """``started`` by a change, ``adopted`` with a customer of another program, or seen ``at_stripe``."""
    change_id: Mapped[str | None] = mapped_column(ForeignKey("plan_changes.id"))
    """The change that started the trial."""
    created_at: Mapped[datetime]
