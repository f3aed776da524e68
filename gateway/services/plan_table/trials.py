"""Record the trials that organizations have had. Each organization gets only one, for ever."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Literal

from sqlalchemy import delete, exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from gateway.db import jobs
from gateway.db.models import TRIAL_END, OrganizationPlan, PlanChange, Subscription, Trial
from gateway.db.queries import among
from gateway.stripe_api.snapshots import TRIALING


def record_trials(
    session: Session, organization_ids: Iterable[str], reason: Literal["adopted", "at_stripe"], now: datetime
) -> None:
    """Record that these organizations have had their trial. An earlier record stays as it is."""
    # Sorted like the locks. Two transactions that insert the same rows would deadlock otherwise.
    rows = [{"organization_id": each, "reason": reason, "created_at": now} for each in sorted(organization_ids)]
    if rows:
        session.execute(insert(Trial).values(rows).on_conflict_do_nothing())


def shows_trial(subscription: Subscription) -> bool:
    """Return whether a subscription stands for a plan and has, or had, a trial."""
    of_plan = subscription.had_plan or subscription.change_id is not None
    return of_plan and subscription.trial_end is not None


def first_method_job(organization_id: str) -> jobs.Wanted:
    """Build the job that makes the first payment method of an organization in a trial its default.

    The worker continues in ``customers.first_method.choose_first_method``.
    """
    arguments = {"organization_id": organization_id}
    return jobs.Wanted(f"choose_first_method:{organization_id}", jobs.CHOOSE_FIRST_METHOD, arguments)


def list_trial_jobs(organization_id: str, before: str | None, after: str) -> list[jobs.Wanted]:
    """Return the jobs that follow the start of a trial, or its end. ``before`` and ``after`` are Stripe's statuses."""
    if after == TRIALING != before:
        return [first_method_job(organization_id)]
    if before == TRIALING and after == "canceled":  # it ended without a payment method
        arguments = {"organization_id": organization_id}
        return [jobs.Wanted(f"return_to_floor:{organization_id}", jobs.RETURN_TO_FLOOR, arguments)]
    return []


def find_trialing(session: Session, organization_ids: Collection[str]) -> Sequence[str]:
    """Return those of the organizations that are in a trial."""
    if not organization_ids:
        return ()
    trialing = select(OrganizationPlan.organization_id).where(
        among(OrganizationPlan.organization_id, organization_ids), OrganizationPlan.status == TRIALING
    )
    return session.scalars(trialing).all()


def fail_change(session: Session, change: PlanChange, state: str, now: datetime, error: dict[str, str]) -> None:
    """End a change without success. A ``failed`` one gives its trial back, because Stripe did not begin the trial.

    An ``abandoned`` one keeps it, because Stripe may have begun it. A trial that Stripe has shown stays recorded too.
    """
    change.close(state, now, error)
    if state == "failed" and TRIAL_END in change.steps:
        shown = exists().where(
            Subscription.organization_id == change.organization_id, Subscription.trial_end.is_not(None)
        )
        session.execute(delete(Trial).where(Trial.change_id == change.id, ~shown))
