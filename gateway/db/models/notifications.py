"""The outbox of notifications, and how their receivers answer."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Base
from gateway.json_types import Json


class Notification(Base):
    """One message to one receiver. It is written in the transaction of the change that it reports.

    It waits while ``next_attempt_at`` is set. Otherwise it was delivered, or given up if ``delivered_at`` is not set.
    """

    __tablename__ = "notifications"
    __table_args__ = (
        # Unique, because the receiver takes a second message with the same id for a repetition.
        Index(None, "id", unique=True),
        # Finds what waits for a receiver, in order by organization. Each scrape of the metrics counts it.
        Index(
            "ix_notifications_undelivered",
            "receiver",
            "organization_id",
            "position",
            postgresql_where=text("delivered_at IS NULL"),
        ),
        Index(None, "created_at"),  # the newest are listed, and the oldest are deleted
        CheckConstraint("attempts >= 0", name="attempts"),  # a negative number would choose a wrong wait
        # A delivered notification with another attempt due would be delivered twice.
        CheckConstraint("delivered_at IS NULL OR next_attempt_at IS NULL", name="delivered"),
    )

    position: Mapped[int] = mapped_column(primary_key=True)
    """Its place in the order of an organization's notifications.

    The writer holds the lock of the organization until it commits, so a later change has a later position.
    """
    id: Mapped[str]
    """The message's id. It is the same on each attempt, so that the receiver recognizes a repetition."""
    receiver: Mapped[str]
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    type: Mapped[str]
    data: Mapped[Json]
    created_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(server_default="0")
    """The attempts so far. A replay begins again at 0."""
    next_attempt_at: Mapped[datetime | None]
    retried_until: Mapped[datetime]
    """From then on, the next failure is the last one, unless the receiver accepts nothing else either."""
    error: Mapped[str | None]
    """The error of the last attempt, without the address."""
    delivered_at: Mapped[datetime | None]


class ReceiverState(Base):
    """How a receiver answers. A receiver that never failed has no row."""

    __tablename__ = "receiver_states"
    __table_args__ = (
        CheckConstraint("failures >= 0", name="failures"),  # a negative number would delay the next pause
        # Without the time of the first failure, ``gateway doctor`` could not say how long the receiver has failed.
        CheckConstraint("(failures = 0) = (failing_since IS NULL)", name="failing"),
        # A receiver that answers must not stay paused.
        CheckConstraint("paused_until IS NULL OR failures > 0", name="paused"),
    )

    name: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int] = mapped_column(server_default="0")
    """How many attempts in a row have failed, for any organization."""
    failing_since: Mapped[datetime | None]
    paused_until: Mapped[datetime | None]
    error: Mapped[str | None]
