"""Write the rows of plan changes again that a failover or a restore of the database has lost.

A change's row is committed before Stripe is called. So if Stripe shows a change that has no row, the database has lost
it. Stripe knows neither who requested the change nor its quote.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

import structlog
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import get_history

from gateway.db import jobs
from gateway.db.models import Organization, PlanChange, Subscription, Trial
from gateway.services.plan_table.attribution import CHANGE_ID_PATTERN
from gateway.services.plan_table.rows import OrganizationRows
from gateway.services.plan_table.selection import UNMAPPED, Plans, select_base_item
from gateway.services.plan_table.writer import WITHDRAW_AFTER
from gateway.stripe_api.snapshots import TRIALING, Observation, SubscriptionSnapshot

UNKNOWN_ACTOR = "unknown"
"""The actor of a change whose row was lost."""

log = structlog.get_logger()


def restore_lost_changes(
    session: Session,
    observations: Iterable[Observation],
    by_customer: Mapping[str, Organization],
    rows_by_organization: Mapping[str, OrganizationRows],
    plans: Plans,
    now: datetime,
) -> None:
    """Write a row for each change that a subscription begins to name and that has none.

    The caller has locked the organizations, and has applied the observations to their rows. Events do not show the
    order of two changes within a second, so the ``from_plan`` of these may be wrong.
    """
    subscriptions = [each for each in observations if isinstance(each, SubscriptionSnapshot)]
    for each in sorted(subscriptions, key=lambda each: each.seen.as_of):
        organization = by_customer.get(each.customer_id)
        if organization is not None and is_new_to(each, rows_by_organization[organization.id]):
            restore_change(session, each, rows_by_organization[organization.id], plans, now)


def is_new_to(snapshot: SubscriptionSnapshot, rows: OrganizationRows) -> bool:
    """Return whether a subscription names a change that neither its row named before nor is among the loaded ones."""
    if (
        snapshot.change_id is None
        or snapshot.change_id in rows.changes
        or not CHANGE_ID_PATTERN.fullmatch(snapshot.change_id)
    ):
        return False
    row = next((each for each in rows.subscriptions if each.id == snapshot.id), None)
    before = get_history(row, "change_id") if row is not None else None
    return before is None or snapshot.change_id not in (*before.unchanged, *before.deleted)


def restore_change(
    session: Session, snapshot: SubscriptionSnapshot, rows: OrganizationRows, plans: Plans, now: datetime
) -> None:
    """Write the row of an applied change and what follows from it, unless there is a row.

    An old event names a change that has a row. So does a subscription that got the metadata of another one.
    """
    plan, item = select_base_item(Subscription(items=[each.to_json() for each in snapshot.items]), plans)
    if plan == UNMAPPED:
        return
    earlier = [each for each in rows.changes.values() if each.actor == UNKNOWN_ACTOR]
    before = rows.plan_row.requested_plan if rows.plan_row is not None else plans.floor
    seen_at, organization_id = snapshot.seen.as_of, rows.organization.id
    values = {
        "id": snapshot.change_id,
        "organization_id": organization_id,
        "state": "applied",
        "actor": UNKNOWN_ACTOR,
        "from_plan": max(earlier, key=lambda each: each.created_at).to_plan if earlier else before,
        "to_plan": plan,
        "quantity": item["quantity"] or 1,
        "created_at": seen_at,
        "ended_at": seen_at,
    }
    change = session.scalar(insert(PlanChange).values(values).on_conflict_do_nothing().returning(PlanChange))
    if change is None:
        return
    rows.changes[change.id] = change
    if snapshot.status == TRIALING and not rows.had_trial:
        trial = {"organization_id": organization_id, "reason": "started", "change_id": change.id, "created_at": seen_at}
        session.execute(insert(Trial).values(trial).on_conflict_do_nothing())
    # The row said which invoices were unpaid. Without it, check the credits as for a change that we did not make.
    jobs.defer_all(session, [jobs.withdrawal_job(organization_id, at=now + WITHDRAW_AFTER)])
    log.warning("lost_change_restored", change_id=change.id, organization_id=organization_id)
