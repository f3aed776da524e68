"""Record that somebody else moved an organization to the floor plan at Stripe, so that its usage is billed.

The dashboard can do so, or another program. Stripe bills the usage that it counted before. Our own changes record
which items they remove, and ``plan_changes.unbilled_usage`` bills the rest. So this writes such a change afterwards.
"""

import uuid
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import get_history

from gateway.db import jobs
from gateway.db.models import FINAL_USAGE, MADE_FROM, PlanChange
from gateway.json_types import Json
from gateway.services.plan_table.attribution import CHANGE_ID_PREFIX
from gateway.services.plan_table.derive import PlanState
from gateway.services.plan_table.rows import OrganizationRows
from gateway.stripe_api.snapshots import ENDED, TRIALING

FOREIGN_ACTOR = "stripe"


def record_foreign_end(
    session: Session, rows: OrganizationRows, before: PlanState | None, after: PlanState, floor: str, ended_at: datetime
) -> bool:
    """Let a job bill the usage of a plan that somebody else has left at Stripe (``jobs.BILL_USAGE``), if there is one.

    Return whether there is one.
    """
    change = build_foreign_end(rows, before, after, floor, ended_at) if before is not None else None
    if change is None:
        return False
    rows.changes[change.id] = change
    jobs.defer_usage_bill(session, change.id)
    return True


def build_foreign_end(
    rows: OrganizationRows, before: PlanState, after: PlanState, floor: str, ended_at: datetime
) -> PlanChange | None:
    """Return the change that removed the metered items of a plan, or None if there were none.

    ``ended_at`` is the time of the removal at Stripe. It tells which period's usage the removal billed. A trial's usage
    is free. The call that ends a whole subscription decides whether Stripe bills its usage (``invoice_now``).
    https://docs.stripe.com/api/subscriptions/cancel
    """
    if before.requested_plan == floor or after.requested_plan != floor or TRIALING in (before.status, after.status):
        return None
    row = next((each for each in rows.subscriptions if each.id == before.subscription_id), None)
    if row is None or row.status in ENDED:
        return None
    kept = {item["id"] for item in row.items}
    earlier: Iterable[Json] = next(iter(get_history(row, "items").deleted or ()), ())
    final = describe_usage(item for item in earlier if item["id"] not in kept)
    if final is None:
        return None
    return PlanChange(
        id=f"{CHANGE_ID_PREFIX}{uuid.uuid4().hex}",
        organization_id=rows.organization.id,
        state="applied",
        actor=FOREIGN_ACTOR,
        from_plan=before.requested_plan,
        to_plan=floor,
        quantity=1,
        steps={MADE_FROM: [row.id], FINAL_USAGE: final},
        created_at=ended_at,
        ended_at=ended_at,
    )


def describe_usage(removed: Iterable[Json]) -> Json | None:
    """Return the metered ones of the removed items, with their prices and the period whose usage they bill."""
    metered = [item for item in removed if item.get("metered")]
    if not metered:
        return None
    start, end = (min(item[f"current_period_{each}"] for item in metered) for each in ("start", "end"))
    return {"items": {item["id"]: item["price_id"] for item in metered}, "start": start, "end": end}
