"""Usage as the services of Konnect count it, and the reports that add it up for Stripe's meters."""

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db.models.base import Base
from gateway.json_types import Json

# The states are literals in every statement. For parameters, PostgreSQL could not use the partial index.
UNSENT = text("state IN ('open', 'sending')")


class UsageEvent(Base):
    """One usage event, as it was received. The gateway stores it once. Only its report may change.

    A further index would slow down every insert. One of the kind BRIN hardly does.
    """

    __tablename__ = "usage_events"
    __table_args__ = (
        # A negative quantity would take back usage that other events reported.
        CheckConstraint("quantity >= 0", name="quantity"),
        # Events arrive about in the order of this time, so it finds the old ones, and those since a plan began.
        Index(None, "occurred_at", postgresql_using="brin"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    # No foreign keys. A service may report usage of an organization that the gateway has never seen, and the statement
    # that inserts an event also writes its report.
    organization_id: Mapped[str]
    meter: Mapped[str]
    quantity: Mapped[int]
    occurred_at: Mapped[datetime]
    report_id: Mapped[uuid.UUID]


class UsageReport(Base):
    """What one Stripe meter event reports: the usage of one organization and meter, received within one minute.

    open        gets further events until its minute is over
    sending     belongs to a job that sends it, or waits for the next attempt
    sent        Stripe has counted it
    refused     Stripe refused it for ``reason``, and will not count it
    invoiced    Stripe may not have counted it when its plan ended. An invoice item bills what Stripe has not billed.
    not_billed  The organization was on the floor plan, so nothing is sent to Stripe. If Stripe shows later that it was
                not, the report becomes open (``usage.recount``).
    """

    __tablename__ = "usage_reports"
    __table_args__ = (
        # The sender would never find a report in an unknown state.
        CheckConstraint("state IN ('open', 'sending', 'sent', 'refused', 'invoiced', 'not_billed')", name="state"),
        # Operators look up why Stripe refused a report. A reason on another report would look like lost usage.
        CheckConstraint("(reason IS NOT NULL) = (state = 'refused')", name="reason"),
        # Operators would take a waiting report with an end for a sent one.
        CheckConstraint("(ended_at IS NOT NULL) = (state IN ('sent', 'refused', 'invoiced'))", name="ended"),
        # An event that was added after the report went to Stripe would never be billed. Its transaction fails instead.
        CheckConstraint("sent_quantity IS NULL OR sent_quantity = quantity", name="sent_quantity"),
        # Each attempt must send the same quantity, so the quantity is fixed before the first one.
        CheckConstraint("(sent_quantity IS NULL) = (state IN ('open', 'not_billed'))", name="sealed"),
        # Usage moves to a later period only. A meter that keeps the last value would take an old one for the present.
        CheckConstraint("moved_to IS NULL OR (moved_to > occurred_at AND aggregation <> 'last')", name="moved_to"),
        # The sender looks for due reports. Partial, so that the index stays small however many reports are stored.
        Index("ix_usage_reports_due", "next_attempt_at", postgresql_where=UNSENT),
        # Each scrape of the metrics counts the refused ones.
        Index("ix_usage_reports_refused", "ended_at", postgresql_where=text("state = 'refused'")),
        # The usage page and the spend checks add up an organization's reports of a period.
        Index(None, "organization_id", "starts_at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    """Derived from what the report adds up. It is also the identifier that Stripe recognizes a repeated event by."""
    organization_id: Mapped[str]
    meter: Mapped[str]
    aggregation: Mapped[str]
    starts_at: Mapped[datetime]
    """The start of the part of an hour whose usage it adds up. No boundary of a period or plan lies within it."""
    occurred_at: Mapped[datetime]
    """When the latest of its events occurred. Stripe bills the report at this time, unless it is moved."""
    moved_to: Mapped[datetime | None]
    """When Stripe counts the report, because the period in which it occurred was invoiced before it was sent."""
    quantity: Mapped[int]
    events: Mapped[int]
    sent_quantity: Mapped[int | None]
    """The quantity that goes to Stripe. Once it is set, ``quantity`` cannot change any more."""
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(server_default="0")
    next_attempt_at: Mapped[datetime]
    uncertain_since: Mapped[datetime | None]
    """The time of the first attempt whose outcome is unknown. Stripe may have counted the report."""
    reason: Mapped[str | None]
    error: Mapped[str | None]
    """Stripe's words about the last attempt."""
    ended_at: Mapped[datetime | None]

    @property
    def counts_at(self) -> datetime:
        """Return the time at which Stripe counts the report."""
        return self.moved_to or self.occurred_at


class UsageEstimate(Base):
    """The last estimate of an organization's month, so that an open page does not call Stripe each time."""

    __tablename__ = "usage_estimates"

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    version: Mapped[int]
    """The version of the plan table's row that it was calculated from."""
    amounts: Mapped[Json]
    calculated_at: Mapped[datetime]
