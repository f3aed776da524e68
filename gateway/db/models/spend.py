"""The amounts at which an organization wants an alert, and when its spend reached them."""

from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Base


class SpendAlerts(Base):
    """What an organization chose. Without a row, the catalogue's default holds."""

    __tablename__ = "spend_alerts"
    __table_args__ = (
        # Each alert costs a notification in each period.
        CheckConstraint("cardinality(amounts) <= 5", name="amounts"),
        CheckConstraint("spend_limit > 0", name="spend_limit"),  # any organization would exceed a limit of 0
    )

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    currency: Mapped[str]
    """The currency of the amounts. The row does not count if the organization has another one now."""
    amounts: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    spend_limit: Mapped[int | None]


class SpendCrossing(Base):
    """One amount that an organization's spend reached in one period. The receivers were notified of it.

    The primary key keeps two jobs from notifying twice in a period.
    """

    __tablename__ = "spend_crossings"
    # Entitlements look for the kind ``limit``. A crossing of an unknown kind would not show the limit as reached.
    __table_args__ = (CheckConstraint("kind IN ('alert', 'limit')", name="kind"),)

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    amount: Mapped[int] = mapped_column(primary_key=True)
    period_start: Mapped[datetime] = mapped_column(primary_key=True)
    period_end: Mapped[datetime]
    crossed_at: Mapped[datetime]


class SpendCheck(Base):
    """An organization whose spend the worker must compare with its alerts.

    It has no foreign key, because the key's lock could deadlock with a merge that waits for this row.
    """

    __tablename__ = "spend_checks"

    organization_id: Mapped[str] = mapped_column(primary_key=True)
    due_at: Mapped[datetime]
    """When to check next. A job moves it ahead before it checks, so that another one repeats a check whose job died."""
    expires_at: Mapped[datetime]
    """Until when a spend near an alert is checked again. Stripe may count the usage late."""
