"""A longer trial, which an operator grants. It moves the end of a trial that is running at Stripe.

Stripe stores the end of the trial. The grant records who moved it and why.
https://docs.stripe.com/billing/subscriptions/trials
"""

import uuid
from dataclasses import replace
from datetime import datetime
from functools import partial

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from gateway.db.models import BillingIntent, Grant, OrganizationPlan, Subscription
from gateway.errors import Conflict, DatabaseUnavailable, GatewayError, InvalidRequest, StripeUnavailable
from gateway.services.intents.completion import Operation, perform
from gateway.services.intents.reservation import Kind, reserve
from gateway.services.mirror.refresh import load_revision, read_answer
from gateway.services.plan_table.attribution import GRANT_ID_PREFIX
from gateway.services.runtime import Gateway
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.snapshots import TRIALING, Snapshot, SubscriptionSnapshot
from gateway.stripe_api.times import to_unix


def extend_trial(gateway: Gateway, organization_id: str, *, until: datetime, reason: str, operator: str) -> Grant:
    """Move the end of the organization's trial to ``until``, and return the grant. A repeated call does nothing more.

    Raise Conflict if the organization is in no trial, InvalidRequest for a moment that is over, and ChangeInProgress.
    If Stripe does not answer (StripeUnavailable), the intent's job completes the grant.
    """
    now = gateway.clock()
    if until <= now:
        raise InvalidRequest(f"{until:%Y-%m-%d %H:%M} is over.")
    with gateway.database.reading() as session:
        plan, subscription = get_trial(session, organization_id)
    grant = Grant(
        id=f"{GRANT_ID_PREFIX}{uuid.uuid4().hex}",
        organization_id=organization_id,
        extends_trial=True,
        plan=plan,
        until=until,
        reason=reason,
        granted_by=operator,
        created_at=now,
    )
    intent = reserve(gateway, organization_id, Kind.EXTEND_TRIAL, subscription.id, partial(record_grant, grant))
    if intent is not None:
        perform(gateway, EXTENSION, intent)
    with gateway.database.reading() as session:
        return get_running(session, organization_id)


def get_trial(session: Session, organization_id: str) -> tuple[str, Subscription]:
    """Return the plan that an organization tries, and its subscription. Raise Conflict if it is in no trial."""
    query = (
        select(OrganizationPlan.requested_plan, Subscription)
        .join(Subscription, Subscription.id == OrganizationPlan.subscription_id)
        .where(OrganizationPlan.organization_id == organization_id, OrganizationPlan.status == TRIALING)
    )
    if (found := session.execute(query).one_or_none()) is None:
        raise Conflict(f"{organization_id} is in no trial.")
    plan, subscription = found
    return plan, subscription


def record_grant(grant: Grant, session: Session) -> bool:
    """Store the grant in the transaction of its intent, and end an earlier one. Return whether it changes anything.

    Raise Conflict if the trial is over, or if a schedule controls it.
    """
    _, subscription = get_trial(session, grant.organization_id)
    if subscription.schedule_id is not None:
        raise Conflict("A schedule controls this subscription. Move the end of its trial in the schedule.")
    earlier = find_running(session, grant.organization_id)
    if earlier is not None:
        if earlier.until == grant.until == subscription.trial_end:
            return False
        earlier.ended_at, earlier.ended_by = grant.created_at, grant.granted_by
        session.flush()  # SQLAlchemy would insert the new row first, and only one may be running
    session.add(grant)
    return True


def move_trial_end(gateway: Gateway, intent: BillingIntent) -> list[Snapshot]:
    """Move the end of the trial at Stripe, and return the subscription. If Stripe refuses, end the grant and raise.

    Raise Conflict if the trial has ended, because the same call would then begin a second trial.
    """
    with gateway.database.reading() as session:
        grant = get_running(session, intent.organization_id)
    revision = load_revision(gateway, SubscriptionSnapshot.kind, intent.object_id)
    try:
        with stripe_call():
            present = gateway.stripe.v1.subscriptions.retrieve(intent.object_id)
        if present.status != TRIALING:
            raise Conflict(f"The trial of {intent.organization_id} has ended.")
        with stripe_call():
            answer = gateway.stripe.v1.subscriptions.update(
                intent.object_id,
                {"trial_end": to_unix(grant.until), "proration_behavior": "none"},
                {"idempotency_key": grant.id},  # the webhook names it, and the history then names the operator
            )
    except (StripeUnavailable, DatabaseUnavailable):
        raise
    except GatewayError:
        end_refused(gateway, grant)
        raise
    found = read_answer(gateway, SubscriptionSnapshot, answer, cause=grant.id, after_revision=revision)
    return [replace(each, seen=replace(each.seen, cause=grant.id)) for each in found]


def end_refused(gateway: Gateway, grant: Grant) -> None:
    """End a grant that Stripe refused."""
    gateway.database.execute(update(Grant).where(Grant.id == grant.id).values(ended_at=gateway.clock()))


def find_running(session: Session, organization_id: str) -> Grant | None:
    """Return the organization's longer trial that has not been ended."""
    running = (Grant.organization_id == organization_id, Grant.extends_trial, Grant.ended_at.is_(None))
    return session.scalar(select(Grant).where(*running))


def get_running(session: Session, organization_id: str) -> Grant:
    """Return the organization's longer trial. Raise Conflict if it ended together with the trial."""
    if (grant := find_running(session, organization_id)) is None:
        raise Conflict(f"The trial of {organization_id} has ended.")
    return grant


def list_objects(_: Gateway, intent: BillingIntent) -> list[tuple[str, str]]:
    """Return the subscription."""
    return [(SubscriptionSnapshot.kind, intent.object_id)]


EXTENSION = Operation(call=move_trial_end, list_objects=list_objects)
