"""How the gateway is doing, as the database tells: the same whichever process is asked.

Each question is answered by a partial index or by a table that stays small, so that asking costs as little with ten
million stored events as with none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, or_, select, text
from sqlalchemy.orm import Session

from gateway.db.models import IS_OPEN, OPEN_STATES, OrganizationPlan, PlanChange, SalesInquiry, WebhookEvent
from gateway.services.runtime import Gateway

COUNT_LIMIT = 100_000  # beyond it, how many more there are is no news
# Written out, not a parameter: so that whatever the plan, it is the partial index that is counted.
GAP_EVENTS = select(WebhookEvent.id).where(WebhookEvent.source == text("'gap'")).limit(COUNT_LIMIT).subquery()
NEVER_DELIVERED = select(func.count()).select_from(GAP_EVENTS)
# A worker that has been silent for longer is taken for dead. Short, since a change that was being finished in it is to
# end within a minute of its request; if one is merely slow, its jobs are done twice, which all of them bear.
HEARTBEAT_TIMEOUT = timedelta(seconds=15)

# Written out, not a parameter: so that whatever the plan, it is the partial index that is counted.
UNMAPPED = select(func.count()).where(OrganizationPlan.requested_plan == text("'unmapped'"))
MISCHARGED = select(func.count()).where(
    or_(PlanChange.charged != PlanChange.quoted, PlanChange.due_now != PlanChange.quoted_due_now)
)
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


@dataclass(frozen=True, kw_only=True)
class Status:
    """Counts, and how long the inbox lags behind."""

    events: Mapping[str, int]
    """Events by state, of those that need work or a person: pending, failed, dead. Counted to 100,000."""
    lag: timedelta
    """How long the event has been due that waits longest."""
    changes: Mapping[str, int]
    """Plan changes that have not ended, by state."""
    mischarged: int
    """Plan changes for which Stripe holds something else than was quoted: none, or somebody has to look."""
    unmapped: int
    """Organizations whose subscription stands for no plan of the catalogue: none, or somebody has to look."""
    undelivered_inquiries: int
    """What people asked of sales and sales' own system has not taken."""
    jobs: Mapping[tuple[str, str], int]
    """Jobs by task and status: todo, doing, failed."""
    stalled_jobs: int
    """Jobs whose worker was killed, and that no other one has taken up yet."""
    workers: int


def load_status(gateway: Gateway) -> Status:
    """How it stands now. Raises DatabaseUnavailable."""
    open_changes = select(PlanChange.state, func.count()).where(IS_OPEN)
    undelivered = select(func.count()).where(SalesInquiry.delivered_at.is_(None))
    silence = {"silence": HEARTBEAT_TIMEOUT}
    with gateway.database.transaction() as session:
        changes = dict(session.execute(open_changes.group_by(PlanChange.state)).all())
        return Status(
            events={state: count_events(session, state) for state in ("pending", "failed", "dead")},
            lag=measure_lag(session, gateway),
            changes=dict.fromkeys(OPEN_STATES, 0) | changes,
            mischarged=session.scalar(MISCHARGED) or 0,
            unmapped=session.scalar(UNMAPPED) or 0,
            undelivered_inquiries=session.scalar(undelivered) or 0,
            jobs={(task, state): number for task, state, number in session.execute(JOBS)},
            stalled_jobs=session.scalar(STALLED, silence) or 0,
            workers=session.scalar(WORKERS, silence) or 0,
        )


def count_events(session: Session, state: str) -> int:
    """How many events are in ``state``, up to a limit."""
    some = select(WebhookEvent.id).where(WebhookEvent.state == state).limit(COUNT_LIMIT).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def measure_lag(session: Session, gateway: Gateway) -> timedelta:
    """How far the drain is behind."""
    now = gateway.clock()
    due = (WebhookEvent.state.in_(("pending", "failed")), WebhookEvent.next_attempt_at <= now)
    oldest = session.scalar(select(func.min(WebhookEvent.next_attempt_at)).where(*due))
    return now - oldest if oldest is not None else timedelta(0)


def count_never_delivered(gateway: Gateway) -> int:
    """How many of the stored events no delivery has brought to this day: the gap walk did. Counted to 100,000.

    Raises DatabaseUnavailable.
    """
    with gateway.database.transaction() as session:
        return session.scalar(NEVER_DELIVERED) or 0
