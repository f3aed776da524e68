"""When a plan began or ended at Stripe, if the gateway learned of it later.

A webhook may be late. Usage of the time before it must be billed like Stripe bills its time (``usage.recount``).
"""

from datetime import datetime

from gateway.services.plan_table.derive import PlanState
from gateway.services.plan_table.rows import OrganizationRows


def find_late_start(rows: OrganizationRows, after: PlanState, floor: str, now: datetime) -> datetime | None:
    """Return when Stripe began to bill the usage of a new plan, or None if that is no earlier than ``now``.

    Stripe adds the metered items when it sells the plan, so their age tells. It is not earlier than the last entry of
    the history, because the organization was on the floor plan until then. The plan row still has the state before.
    Without such a row, the gateway did not know the organization. Another program may have reported its usage then.
    """
    row = rows.plan_row
    if row is None or row.requested_plan != floor or after.requested_plan == floor:
        return None
    subscription = next(each for each in rows.subscriptions if each.id == after.subscription_id)
    metered = [each for each in subscription.items if each.get("metered") and "created" in each]
    added = [datetime.fromisoformat(each["created"]) for each in metered]
    return find_late(max([row.as_of, *added]), now) if added else None


def find_late(moment: datetime, now: datetime) -> datetime | None:
    """Return the moment if it lies in an earlier second than ``now``."""
    return moment if moment < now.replace(microsecond=0) else None
