"""The time between the end of a plan here and its end at Stripe.

A move to the floor plan may wait for usage (``final_usage``) or for Stripe's answer. The organization loses the use of
its plan before it waits for usage, or when the request ends. It gets the plan back only if Stripe refuses the change.
"""

from datetime import datetime

from sqlalchemy.orm import Session

from gateway.db.models import Organization, PlanChange
from gateway.failpoints import Failpoint, failpoint
from gateway.services.mirror.locks import lock_catalog
from gateway.services.plan_changes.stripe_calls import lock_change
from gateway.services.plan_table.attribution import attribute_to_change
from gateway.services.plan_table.writer import derive_again
from gateway.services.runtime import Gateway

UNANSWERED = frozenset({"requested", "processing"})


def begin_change(gateway: Gateway, change_id: str) -> None:
    """Mark a change as begun, and take the plan that it leaves for the floor plan.

    If the request does not end the change, the completion job does. Stripe may have carried it out already.
    """
    now, floor = gateway.clock(), gateway.catalog.floor.key
    with gateway.database.transaction() as session:
        change = lock_with_plan(session, change_id)
        if change.state not in UNANSWERED:
            return
        change.state = "processing"
        if change.left_at is None and change.to_plan == floor != change.from_plan:
            change.left_at = now
            update_plan(session, change, now)
    failpoint(Failpoint.PLAN_LEFT)


def lock_with_plan(session: Session, change_id: str) -> PlanChange:
    """Lock a change and its organization for ``update_plan``, in the order in which a merge locks them."""
    lock_catalog(session, to_change=False)
    return lock_change(session, change_id)


def update_plan(session: Session, change: PlanChange, now: datetime) -> None:
    """Write what the state of the change means for the organization's plan. The change is not altered afterwards."""
    organization = session.get_one(Organization, change.organization_id)
    derive_again(session, organization, attribute_to_change(change, change.id), now)
