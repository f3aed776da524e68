"""When a plan began or ended at Stripe, if the gateway learned of it later.

A webhook may be late. Usage of the time before it must be billed like Stripe bills its time (``usage.recount``).
"""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.db.models import PlanHistory
from gateway.services.plan_table.derive import PlanState
from gateway.services.plan_table.rows import OrganizationRows


def find_late_start(
    session: Session, rows: OrganizationRows, after: PlanState, floor: str, now: datetime
) -> datetime | None:
    """Return when Stripe began to bill the usage of a new plan, or None if that is no earlier than ``now``.

    Stripe adds the metered items when it sells the plan, so their age tells. It is not earlier than the beginning of
    the floor plan, which the organization had until then. The gateway may have learned of that beginning late, too. The
    plan row still has the state before. Without such a row, the gateway did not know the organization. Another program
    may have reported its usage then.
    """
    row = rows.plan_row
    if row is None or row.requested_plan != floor or after.requested_plan == floor:
        return None
    subscription = next(each for each in rows.subscriptions if each.id == after.subscription_id)
    metered = [each for each in subscription.items if each.get("metered") and "created" in each]
    added = [datetime.fromisoformat(each["created"]) for each in metered]
    if not added:
        return None
    floor_since = row.as_of
    if max(added) < floor_since:
        last = (PlanHistory.organization_id == row.organization_id, PlanHistory.version == row.version)
        floor_since = session.scalar(select(PlanHistory.began_at).where(*last)) or floor_since
    return find_late(max([floor_since, *added]), now)


def find_late(moment: datetime, now: datetime) -> datetime | None:
    """Return the moment if it lies in an earlier second than ``now``."""
    return moment if moment < now.replace(microsecond=0) else None
