"""What an operator sees of one change or one organization. Only the database is read. No e-mail address is shown."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import or_, select, text
from sqlalchemy.orm import Session

from gateway.db.models import (
    IS_MISCHARGED,
    NEWEST_FIRST,
    Invoice,
    Organization,
    OrganizationPlan,
    PaymentMethod,
    PlanChange,
    PlanHistory,
    Subscription,
    WebhookEvent,
)
from gateway.db.queries import among
from gateway.errors import NotFound
from gateway.json_types import Json
from gateway.services.runtime import Gateway

SHOWN = 10  # of each kind, the newest ones
# An operator's command may scan the jobs, of which few are unfinished.
JOBS = text("""
    SELECT id, task_name, status::text, attempts, scheduled_at, args FROM procrastinate_jobs
    WHERE status IN ('todo', 'doing', 'failed')
        AND EXISTS (SELECT FROM jsonb_each_text(args) AS argument WHERE argument.value = ANY(CAST(:ids AS text[])))
    ORDER BY id LIMIT 100
""")
CHANGE = ("id", "organization_id", "state", "actor", "from_plan", "to_plan", "quantity", "created_at", "ended_at")
MONEY = ("quoted", "charged", "quoted_due_now", "due_now", "error")
ENTRY = ("version", "recorded_at", "actor_type", "cause", "change_id")
EVENT = ("id", "type", "object_id", "state", "attempts", "error", "created", "received_at", "processed_at")
PLAN = ("plan", "requested_plan", "status", "standing", "quantity", "granted_plan", "granted_until", "as_of", "version")
METHOD = ("id", "type", "label")
SUBSCRIPTION = ("id", "status", "currency", "items", "cancel_at", "trial_end", "change_id", "latest_invoice_id")
INVOICE = ("id", "number", "status", "currency", "total", "amount_paid", "amount_remaining", "created")


def list_changes(
    gateway: Gateway, organization_id: str | None, states: Collection[str], limit: int, *, mischarged: bool
) -> Sequence[PlanChange]:
    """Return the newest plan changes, of one organization if it is named, and in these states if any is.

    If ``mischarged``, return only those for which Stripe charged another amount than was quoted.
    """
    query = select(PlanChange).order_by(PlanChange.created_at.desc(), PlanChange.id).limit(limit)
    if organization_id is not None:
        query = query.where(PlanChange.organization_id == organization_id)
    if states:
        query = query.where(among(PlanChange.state, states))
    if mischarged:
        query = query.where(IS_MISCHARGED)
    with gateway.database.reading() as session:
        return session.scalars(query).all()


def show_change(gateway: Gateway, change_id: str) -> Json:
    """Return one change with its history, the events since it began, and its unfinished jobs. Raise NotFound."""
    with gateway.database.reading() as session:
        change = session.get(PlanChange, change_id)
        if change is None:
            raise NotFound(f"There is no change {change_id}.")
        history = session.scalars(select(PlanHistory).where(PlanHistory.change_id == change_id)).all()
        of_organization = Subscription.organization_id == change.organization_id
        subscriptions = session.scalars(select(Subscription.id).where(of_organization)).all()
        return {
            **pick(change, *CHANGE, *MONEY),
            "steps": list(change.steps),
            "history": [pick(each, *ENTRY) for each in history],
            "events": find_events(session, subscriptions, since=change.created_at),
            "jobs": find_jobs(session, [change_id]),
        }


def show_organization(gateway: Gateway, organization_id: str) -> Json:
    """Return what the database knows of an organization. Raise NotFound."""
    with gateway.database.reading() as session:
        organization = session.get(Organization, organization_id)
        if organization is None:
            raise NotFound(f"There is no organization {organization_id}.")
        plan = session.get(OrganizationPlan, organization_id)
        history, changes, methods, subscriptions, invoices = (
            session.scalars(query).all()
            for query in (
                select(PlanHistory)
                .where(PlanHistory.organization_id == organization_id)
                .order_by(PlanHistory.version.desc())
                .limit(SHOWN),
                select(PlanChange)
                .where(PlanChange.organization_id == organization_id)
                .order_by(PlanChange.created_at.desc())
                .limit(SHOWN),
                select(PaymentMethod).where(
                    PaymentMethod.organization_id == organization_id, PaymentMethod.detached.is_(False)
                ),
                select(Subscription)
                .where(Subscription.organization_id == organization_id)
                .order_by(Subscription.created.desc())
                .limit(SHOWN),
                select(Invoice).where(Invoice.organization_id == organization_id).order_by(*NEWEST_FIRST).limit(SHOWN),
            )
        )
        objects = [each.id for rows in (methods, subscriptions, invoices) for each in rows]
        if organization.stripe_customer_id is not None:
            objects.append(organization.stripe_customer_id)
        return {
            **pick(organization, "id", "stripe_customer_id", "currency", "balance", "deleted"),
            "default_payment_method_id": organization.default_payment_method_id,
            "plan": pick(plan, *PLAN) if plan is not None else None,
            "reason": explain_plan(plan),
            "history": [
                {**pick(each, *ENTRY), "before": (each.before or {}).get("plan"), "after": each.after["plan"]}
                for each in history
            ],
            "changes": [pick(each, *CHANGE) for each in changes],
            "payment_methods": [pick(each, *METHOD) for each in methods],
            "subscriptions": [pick(each, *SUBSCRIPTION) for each in subscriptions],
            "invoices": [pick(each, *INVOICE) for each in invoices],
            "events": find_events(session, objects),
            "jobs": find_jobs(session, [organization_id, *objects, *(each.id for each in changes)]),
        }


def explain_plan(row: OrganizationPlan | None) -> str:
    """Return why the organization is on its plan."""
    if row is None or row.subscription_id is None:
        reason = "No subscription counts, so the organization is on the floor plan."
    elif row.plan == row.requested_plan:
        reason = f"The subscription {row.subscription_id} has this plan and is {row.status}."
    else:
        reason = (
            f"The subscription {row.subscription_id} has {row.requested_plan}, and its standing is {row.standing} "
            f"with status {row.status}."
        )
    if row is not None and row.granted_plan is not None:
        reason += f" A grant gives {row.granted_plan} until {row.granted_until:%Y-%m-%d %H:%M} UTC."
    return reason


def find_events(session: Session, object_ids: Collection[str], since: datetime | None = None) -> list[Json]:
    """Return the newest events about these objects."""
    query = select(WebhookEvent).where(among(WebhookEvent.object_id, object_ids))
    if since is not None:
        query = query.where(or_(WebhookEvent.received_at >= since, WebhookEvent.created >= since))
    rows = session.scalars(query.order_by(WebhookEvent.received_at.desc()).limit(SHOWN))
    return [pick(each, *EVENT) for each in rows]


def find_jobs(session: Session, ids: Collection[str]) -> list[Json]:
    """Return the unfinished jobs that have one of these ids among their arguments."""
    return [dict(row._mapping) for row in session.execute(JOBS, {"ids": list(ids)})]  # noqa: SLF001 - SQLAlchemy's documented name


def pick(row: object, *columns: str) -> Json:
    """Return some columns of a row."""
    return {column: getattr(row, column) for column in columns}
