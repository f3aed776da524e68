"""Status figures from the database. Every process returns the same ones.

Each query reads a partial index or a table that stays small. With ten million stored events it costs as little as with
none.
"""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import TextClause, func, select, text
from sqlalchemy.orm import Session

from gateway.db.models import (
    IS_MISCHARGED,
    IS_OPEN,
    OPEN_STATES,
    UNSENT,
    Notification,
    OrganizationPlan,
    PlanChange,
    SalesInquiry,
    StripeBudget,
    UsageLevel,
    UsageReport,
    WebhookEvent,
)
from gateway.services.mirror.calculated_charges import Cause
from gateway.services.notifications.records import ReceiverReport, report_receivers
from gateway.services.operations.locked import Locked, find_locked_organizations
from gateway.services.operations.worker_reports import CLOCK, CONNECTION, find_reports
from gateway.services.runtime import Gateway

COUNT_LIMIT = 100_000  # beyond it, the exact number no longer matters
# Both values are written out, because PostgreSQL's query plan for a parameter might not use the partial index.
GAP_EVENTS = select(WebhookEvent.id).where(WebhookEvent.source == text("'gap'")).limit(COUNT_LIMIT).subquery()
NEVER_DELIVERED = select(func.count()).select_from(GAP_EVENTS)
UNMAPPED = select(func.count()).where(OrganizationPlan.requested_plan == text("'unmapped'"))
# A worker that is silent for longer counts as dead. The time is short, because a plan change must end within a minute
# of its request, even if its worker was killed. If a worker is only slow, its jobs run twice. Every job tolerates that.
HEARTBEAT_TIMEOUT = timedelta(seconds=15)
# Organizations whose quantity stays below their level, by the reason.
OBSTACLES = (
    select(UsageLevel.obstacle, func.count()).where(UsageLevel.obstacle.is_not(None)).group_by(UsageLevel.obstacle)
)
MISCHARGED = select(func.count()).select_from(PlanChange).where(IS_MISCHARGED)
# Invoices of the last month that differ from the charges calculated ahead, by what explains the difference.
DIFFERING = text("""
    SELECT difference ->> 'cause', count(*) FROM (
        SELECT differences FROM invoices WHERE differences <> '[]' AND created > :since LIMIT :most
    ) AS invoice, jsonb_array_elements(invoice.differences) AS difference
    GROUP BY 1
""")
A_MONTH = timedelta(days=31)
REFUSED = text("state = 'refused'")
BREAKER_OPEN = select(StripeBudget.breaker_open_until > func.gateway_now())
JOBS = text("""
    SELECT task_name, status::text, count(*) FROM procrastinate_jobs
    WHERE status <> 'succeeded' GROUP BY task_name, status
""")
WORKERS = text("SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - :silence")
STALLED = text("""
    SELECT count(*) FROM procrastinate_jobs AS job
    LEFT JOIN procrastinate_workers AS worker ON worker.id = job.worker_id
    WHERE job.status = 'doing' AND (worker.last_heartbeat > now() - :silence) IS NOT TRUE
""")

# A job is not late while another job with the same lock runs.
JOB_LAG = text("""
    SELECT max(now() - COALESCE(job.scheduled_at, deferred.at)) FROM procrastinate_jobs AS job
    LEFT JOIN procrastinate_events AS deferred ON deferred.job_id = job.id AND deferred.type = 'deferred'
    WHERE job.status = 'todo' AND COALESCE(job.scheduled_at, deferred.at) <= now() AND NOT EXISTS (
        SELECT FROM procrastinate_jobs AS running WHERE running.lock = job.lock AND running.status = 'doing')
""")
PERIODIC_AGE = text("SELECT now() - to_timestamp(max(defer_timestamp)) FROM procrastinate_periodic_defers")


@dataclass(frozen=True, kw_only=True)
class Status:
    """Counts of work, and the lag of the inbox."""

    events: Mapping[str, int]
    """Events by state, for the states that need work or a person: pending, failed, dead. Counted to 100,000."""
    lag: timedelta
    """How long the oldest waiting event has been due."""
    locked: Sequence[Locked]
    """The organizations whose events wait for another session's lock."""
    changes: Mapping[str, int]
    """Open plan changes by state."""
    mischarged: int
    """Plan changes whose charge at Stripe differs from the quote. Any number above 0 needs a person."""
    unmapped: int
    """Organizations whose subscription belongs to no plan of the catalogue. Any number above 0 needs a person."""
    unfollowed_levels: Mapping[str, int]
    """Organizations that use more than the quantity they pay for, by why the quantity cannot follow the level."""
    differing_invoices: Mapping[str, int]
    """Invoices of the last month that differ from the charges calculated ahead, by cause. Counted to 100,000."""
    undelivered_inquiries: int
    """Inquiries that the sales team's own system has not accepted."""
    receivers: Sequence[ReceiverReport]
    """The receivers of notifications."""
    jobs: Mapping[tuple[str, str], int]
    """Jobs by task and status: todo, doing, failed."""
    usage: Mapping[str, int]
    """Usage reports that are not sent yet (``unsent``), and that Stripe refused. Counted to 100,000."""
    usage_lag: timedelta
    """How long the longest waiting usage report has been due."""
    stalled_jobs: int
    """Jobs of killed workers that no other worker has taken over yet."""
    job_lag: timedelta
    """How long the oldest waiting job has been due."""
    periodic_age: timedelta | None
    """How long ago a periodic job was last started. None if none ever was."""
    workers: int
    wrong_clocks: Sequence[str]
    """The workers whose clock differs from the database's, in words."""
    lost_connections: Sequence[str]
    """The workers whose listening connection was lost a moment ago, in words."""
    breaker_open: bool
    """Whether a process has stopped calling Stripe because it does not answer."""


def load_status(gateway: Gateway) -> Status:
    """Load the current status. Raise DatabaseUnavailable."""
    open_changes = select(PlanChange.state, func.count()).where(IS_OPEN)
    delivered = select(Notification.id).where(
        Notification.id == SalesInquiry.id, Notification.delivered_at.is_not(None)
    )
    undelivered = select(func.count()).select_from(SalesInquiry).where(~delivered.exists())
    silence = {"silence": HEARTBEAT_TIMEOUT}
    with gateway.database.reading() as session:
        changes = dict(session.execute(open_changes.group_by(PlanChange.state)).all())
        return Status(
            events={state: count_events(session, state) for state in ("pending", "failed", "dead")},
            lag=measure_lag(session, gateway),
            locked=find_locked_organizations(session, gateway.clock()),
            changes=dict.fromkeys(OPEN_STATES, 0) | changes,
            mischarged=session.scalar(MISCHARGED) or 0,
            unmapped=session.scalar(UNMAPPED) or 0,
            unfollowed_levels={code: number for code, number in session.execute(OBSTACLES) if code is not None},
            differing_invoices=count_differing(session, gateway),
            undelivered_inquiries=session.scalar(undelivered) or 0,
            receivers=report_receivers(session, gateway.receivers.keys()),
            jobs={(task, state): number for task, state, number in session.execute(JOBS)},
            usage={"unsent": count_reports(session, UNSENT), "refused": count_reports(session, REFUSED)},
            usage_lag=measure_usage_lag(session, gateway),
            stalled_jobs=session.scalar(STALLED, silence) or 0,
            job_lag=session.scalar(JOB_LAG) or timedelta(0),
            periodic_age=session.scalar(PERIODIC_AGE),
            workers=session.scalar(WORKERS, silence) or 0,
            wrong_clocks=find_reports(session, CLOCK, gateway.clock()),
            lost_connections=find_reports(session, CONNECTION, gateway.clock()),
            breaker_open=session.scalar(BREAKER_OPEN) or False,
        )


def count_events(session: Session, state: str) -> int:
    """Count the events in ``state``, up to ``COUNT_LIMIT``."""
    some = select(WebhookEvent.id).where(WebhookEvent.state == state).limit(COUNT_LIMIT).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def count_differing(session: Session, gateway: Gateway) -> dict[str, int]:
    """Count the invoices of the last month that differ from the charges calculated ahead, by cause."""
    found = session.execute(DIFFERING, {"since": gateway.clock() - A_MONTH, "most": COUNT_LIMIT})
    return dict.fromkeys(Cause, 0) | {cause: number for cause, number in found}  # noqa: C416 - rows are no tuples to mypy


def measure_lag(session: Session, gateway: Gateway) -> timedelta:
    """Return how long the oldest waiting event has been due."""
    now = gateway.clock()
    due = (WebhookEvent.state.in_(("pending", "failed")), WebhookEvent.next_attempt_at <= now)
    oldest = session.scalar(select(func.min(WebhookEvent.next_attempt_at)).where(*due))
    return now - oldest if oldest is not None else timedelta(0)


def measure_free_disk() -> float:
    """Return which part of the disk of the temporary files is free on this machine."""
    usage = shutil.disk_usage(tempfile.gettempdir())
    return usage.free / usage.total


def count_reports(session: Session, condition: TextClause) -> int:
    """Count the usage reports of a condition for which there is a partial index, up to ``COUNT_LIMIT``."""
    some = select(UsageReport.id).where(condition).limit(COUNT_LIMIT).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def measure_usage_lag(session: Session, gateway: Gateway) -> timedelta:
    """Return how long the longest waiting usage report has been due."""
    oldest = session.scalar(select(func.min(UsageReport.next_attempt_at)).where(UNSENT))
    return max(gateway.clock() - oldest, timedelta(0)) if oldest is not None else timedelta(0)


def count_never_delivered(gateway: Gateway) -> int:
    """Count the events that the gap walk found and no delivery has brought since. Counted to 100,000.

    Raise DatabaseUnavailable.
    """
    with gateway.database.reading() as session:
        return session.scalar(NEVER_DELIVERED) or 0
