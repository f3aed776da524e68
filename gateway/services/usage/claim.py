"""Claim due reports, and record what became of them. Between the two, no transaction is open."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.db import jobs
from gateway.db.models import UNSENT, Organization, UsageReport
from gateway.services.backoff import compute_wait
from gateway.services.runtime import Gateway
from gateway.services.spend_checks import request_checks
from gateway.services.usage.ended_plans import Ended, find_ended
from gateway.services.usage.late_usage import move_late_reports
from gateway.stripe_api.times import to_unix

BATCH = 100
LEASE = timedelta(minutes=3)
"""How long a claimed report belongs to its job. Another one sends it again if the first was killed."""
FIRST_RETRY, LONGEST_RETRY = timedelta(seconds=15), timedelta(hours=1)

log = structlog.get_logger()


class Reason(StrEnum):
    """Why Stripe will not count a report."""

    UNKNOWN_METER = "unknown_meter"
    TOO_OLD = "too_old"
    TOO_FAR_AHEAD = "too_far_ahead"
    UNKNOWN_CUSTOMER = "unknown_customer"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class ClaimedReport:
    """A report that one job may send now. Nothing else changes its quantity any more."""

    id: uuid.UUID
    organization_id: str
    customer_id: str | None
    meter: str
    aggregation: str
    occurred_at: datetime
    moved_to: datetime | None
    ended_by: str | None
    """The change that has ended its plan. Stripe bills it only if Stripe counted it before."""
    quantity: int
    uncertain_since: datetime | None

    @property
    def identifier(self) -> str:
        """Return the identifier by which Stripe recognizes that an event is sent again."""
        return f"usage_{self.id.hex}"

    @property
    def counts_at(self) -> datetime:
        """Return the time at which Stripe counts the report."""
        return self.moved_to or self.occurred_at

    @property
    def idempotency_key(self) -> str:
        """Return the key of the call. It differs once the report is moved, because Stripe compares the parameters.

        It also differs once the plan has ended. Stripe then answers the first call again only if that call was made
        since. Otherwise it says that it has counted the report before.
        """
        moved = "" if self.moved_to is None else f"_{to_unix(self.moved_to)}"
        return f"{self.identifier}{moved}{'' if self.ended_by is None else '_0'}"


@dataclass(frozen=True, kw_only=True)
class Sent:
    """The outcome of one attempt. Without ``state`` and ``reason``, the report is sent again later."""

    report: ClaimedReport
    state: Literal["sent", "invoiced"] | None = None
    """Whether Stripe has counted the report in time, or an invoice item bills it."""
    moved_to: datetime | None = None
    """When Stripe counts a report that it has counted, if not as of when it occurred."""
    reason: Reason | None = None
    error: str | None = None
    uncertain_since: datetime | None = None
    """Since when Stripe may have counted the report."""


def claim_reports(gateway: Gateway, organization_id: str | None = None) -> list[ClaimedReport]:
    """Lock the due reports that no other job has locked, seal them, and return them.

    With an organization, all its unsent reports are due now, open ones included. Another job may be sending one of
    them. Stripe counts it once, because both send the same identifier.
    """
    while True:
        claimed, is_left = claim_batch(gateway, organization_id)
        if claimed or not is_left:
            return claimed


def claim_batch(gateway: Gateway, organization_id: str | None) -> tuple[list[ClaimedReport], bool]:
    """Do what ``claim_reports`` does with one batch. Return whether more reports may be due, too.

    A report of a plan that the organization has left is not sent. A job bills it instead
    (``plan_changes.unbilled_usage``).
    """
    now = gateway.clock()
    unsent = select(UsageReport).where(UNSENT).limit(BATCH)
    if organization_id is None:
        due = unsent.where(UsageReport.next_attempt_at <= now).order_by(UsageReport.next_attempt_at)
    else:
        # Sorted as the statement that stores events sorts them, because this waits for locks and could deadlock.
        due = unsent.where(UsageReport.organization_id == organization_id).order_by(UsageReport.id)
    with gateway.database.transaction() as session:
        rows = session.scalars(due.with_for_update(skip_locked=organization_id is None)).all()
        query = select(Organization.id, Organization.stripe_customer_id)
        query = query.where(Organization.id.in_({row.organization_id for row in rows}), ~Organization.deleted)
        customers = dict(session.execute(query).all())
        ended = find_ended(session, [row.id for row in rows], gateway.catalog.floor.key)
        invoiced = {id_ for id_, found in ended.items() if not found.may_be_billed}
        for change_id in sorted({ended[each].change_id for each in invoiced}):
            jobs.defer_usage_bill(session, change_id)
        due_rows = [row for row in rows if row.id not in invoiced]
        move_late_reports(session, [row for row in due_rows if row.id not in ended], now)
        claimed = [build_claim(row, customers.get(row.organization_id), ended.get(row.id)) for row in due_rows]
        for row in rows:
            if row.id in invoiced:
                row.state, row.sent_quantity, row.ended_at = "invoiced", row.quantity, now
                row.uncertain_since = None
        for row in due_rows:
            row.state, row.sent_quantity = "sending", row.quantity
            row.attempts += 1
            row.next_attempt_at = now + LEASE
            row.uncertain_since = row.uncertain_since or now  # a job that is killed leaves the outcome unknown
        request_checks(session, customers, now)
    return claimed, bool(invoiced)


def build_claim(row: UsageReport, customer_id: str | None, ended: Ended | None) -> ClaimedReport:
    """Return the claim of a row as it is before this attempt."""
    return ClaimedReport(
        id=row.id,
        organization_id=row.organization_id,
        customer_id=customer_id,
        meter=row.meter,
        aggregation=row.aggregation,
        occurred_at=row.occurred_at,
        moved_to=row.moved_to,
        ended_by=ended.change_id if ended is not None else None,
        quantity=row.quantity,
        uncertain_since=row.uncertain_since,
    )


def record_outcomes(gateway: Gateway, outcomes: Sequence[Sent]) -> None:
    """Store the outcomes of a batch. A report that has ended in the meantime stays as it is."""
    now = gateway.clock()
    by_id = {each.report.id: each for each in outcomes}
    query = select(UsageReport).where(UsageReport.id.in_(by_id), UsageReport.state == "sending")
    with gateway.database.transaction() as session:
        for row in session.scalars(query.order_by(UsageReport.id).with_for_update()):
            outcome = by_id[row.id]
            row.error, row.uncertain_since = outcome.error, outcome.uncertain_since
            if outcome.state is not None:
                row.state, row.moved_to, row.ended_at = outcome.state, outcome.moved_to, now
            elif outcome.reason is not None:
                refuse(row, outcome.reason, outcome.error, now)
            else:
                row.next_attempt_at = now + compute_wait(FIRST_RETRY, LONGEST_RETRY, doublings=row.attempts - 1)
        session.flush()  # the statement below reads these rows, and a text() flushes nothing
        # The plan of a report may have ended while it was sent. Stripe may have counted it too late to bill it.
        ended = find_ended(
            session, [each.report.id for each in outcomes if each.state is not None], gateway.catalog.floor.key
        )
        for change_id in sorted({each.change_id for each in ended.values()}):
            jobs.defer_usage_bill(session, change_id)


def mark_sent(session: Session, report_id: uuid.UUID, moved_to: datetime | None, now: datetime) -> None:
    """Mark a report as counted by Stripe, unless it has ended."""
    row = session.get_one(UsageReport, report_id, with_for_update=True)
    if row.state == "sending":
        row.state, row.moved_to, row.ended_at, row.uncertain_since = "sent", moved_to, now, None


def refuse(row: UsageReport, reason: Reason, error: str | None, now: datetime) -> None:
    """Mark a report as refused by Stripe. The log names it, because somebody must decide what to do about it."""
    row.state, row.reason, row.error, row.ended_at, row.uncertain_since = "refused", reason, error, now, None
    log.error("usage_refused", report_id=str(row.id), organization_id=row.organization_id, reason=reason, error=error)
