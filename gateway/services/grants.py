"""Complimentary plans. An organization uses the higher one of its subscription's plan and its grant's plan.

Stripe knows nothing of such a grant. An organization has at most one at a time. ``plan_changes/longer_trial`` grants
longer trials.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from gateway.db.models import Grant, Organization, OrganizationPlan
from gateway.errors import Conflict, InvalidRequest, NotFound
from gateway.services.customers.customer import ensure_organization
from gateway.services.mirror.locks import lock_catalog
from gateway.services.plan_table.attribution import GRANT_ID_PREFIX, OPERATOR, SYSTEM, Attribution
from gateway.services.plan_table.rows import IS_GRANTED_PLAN
from gateway.services.plan_table.writer import derive_again
from gateway.services.runtime import Caller, Gateway
from gateway.stripe_api.snapshots import TRIALING


def add_grant(
    gateway: Gateway, organization_id: str, plan: str, *, until: datetime, reason: str, operator: str
) -> Grant:
    """Grant a plan until a moment. Raise Conflict if a grant is running.

    Raise InvalidRequest for an unknown plan, for the floor plan, and for a moment that is over.
    """
    now = gateway.clock()
    if gateway.catalog.get(plan).is_floor:
        raise InvalidRequest(f"Every organization may use {gateway.catalog.name_of(plan)} anyway.")
    if until <= now:
        raise InvalidRequest(f"{until:%Y-%m-%d %H:%M} is over.")
    with gateway.database.transaction() as session:
        organization = lock(session, Caller(organization_id=organization_id, actor=operator), now)
        if (running := find_running(session, organization_id)) is not None:
            if now < running.until:
                raise Conflict(f"{organization_id} has a grant until {running.until:%Y-%m-%d %H:%M}. End it first.")
            end(session, organization, running, None, now)
        grant = Grant(
            id=f"{GRANT_ID_PREFIX}{uuid.uuid4().hex}",
            organization_id=organization_id,
            plan=plan,
            until=until,
            reason=reason,
            granted_by=operator,
            created_at=now,
        )
        session.add(grant)
        update_plan(session, organization, grant.id, operator, now)
    return grant


def end_grant(gateway: Gateway, organization_id: str, operator: str) -> Grant:
    """End the organization's grant now. Raise NotFound if none is running."""
    now = gateway.clock()
    with gateway.database.transaction() as session:
        organization = lock(session, Caller(organization_id=organization_id, actor=operator), now)
        running = find_running(session, organization_id)
        if running is None:
            raise NotFound(f"{organization_id} has no complimentary plan.")
        end(session, organization, running, operator if now < running.until else None, now)
    return running


def end_due_grants(gateway: Gateway) -> int:
    """Run the job that ends the grants whose time is over, one per transaction, and return their number.

    Readers show such a grant no more, even if this job is late. A longer trial also ends when the trial does.
    """
    now = gateway.clock()
    is_over = or_(Grant.until <= now, and_(Grant.extends_trial, OrganizationPlan.status != TRIALING))
    query = (
        select(Grant.id, Grant.organization_id)
        .outerjoin(OrganizationPlan, OrganizationPlan.organization_id == Grant.organization_id)
        .where(Grant.ended_at.is_(None), is_over)
    )
    with gateway.database.reading() as session:
        due = session.execute(query).all()
    ended = 0
    for grant_id, organization_id in due:
        with gateway.database.transaction() as session:
            organization = lock(session, Caller(organization_id=organization_id, actor=SYSTEM), now)
            grant = session.get_one(Grant, grant_id)
            if grant.ended_at is None:  # another process may have ended it
                end(session, organization, grant, None, now)
                ended += 1
    return ended


def list_grants(gateway: Gateway, organization_id: str | None) -> Sequence[Grant]:
    """Return the grants of one organization, or all that have not been ended, newest first."""
    chosen = Grant.ended_at.is_(None) if organization_id is None else Grant.organization_id == organization_id
    with gateway.database.reading() as session:
        return session.scalars(select(Grant).where(chosen).order_by(Grant.created_at.desc(), Grant.id)).all()


def lock(session: Session, caller: Caller, now: datetime) -> Organization:
    """Lock the catalogue and the organization as a merge does and in its order, and return the organization."""
    lock_catalog(session, to_change=False)
    return ensure_organization(session, caller, now)


def find_running(session: Session, organization_id: str) -> Grant | None:
    """Return the organization's complimentary plan that has not been ended."""
    return session.scalar(select(Grant).where(Grant.organization_id == organization_id, IS_GRANTED_PLAN))


def end(session: Session, organization: Organization, grant: Grant, operator: str | None, now: datetime) -> None:
    """End a grant: early by an operator, or by time."""
    grant.ended_at, grant.ended_by = now, operator
    if not grant.extends_trial:  # the plan table shows the trial as Stripe has it
        update_plan(session, organization, grant.id, operator, now)


def update_plan(
    session: Session, organization: Organization, grant_id: str, operator: str | None, now: datetime
) -> None:
    """Derive the plan again, and write it to the plan table and the history. The caller holds the lock."""
    attribution = Attribution(
        actor_type=SYSTEM if operator is None else OPERATOR, actor=operator, change_id=None, cause=grant_id
    )
    derive_again(session, organization, attribution, now)
