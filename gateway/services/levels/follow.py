"""Make the quantity of a subscription follow its level.

Each change makes two pending invoice items, and Stripe takes 250 on an invoice. So the worker changes a quantity at
most every eight hours, and less often the more items are pending.
https://docs.stripe.com/billing/subscriptions/prorations
"""

from datetime import datetime, timedelta
from threading import Event

import structlog
from sqlalchemy import case, func, or_, select, tuple_, update
from sqlalchemy.orm import Session

from gateway.catalog import CatalogPlan
from gateway.config import QUOTE_LIFETIME
from gateway.db.models import OrganizationPlan, PlanChange, UsageLevel
from gateway.errors import ChangeInProgress, DatabaseUnavailable, ExposureLimit, GatewayError, StripeUnavailable
from gateway.services.plan_changes.request import change_plan
from gateway.services.plan_table.attribution import USAGE
from gateway.services.runtime import Caller, Gateway
from gateway.services.subscription.billing_state import BillingState, load_billing_state
from gateway.services.subscription.levels import fit_level
from schemas.changes import ChangeCommand

SHORTEST_PAUSE = timedelta(hours=8)
ENOUGH_ITEMS, MOST_ITEMS = 200, 240
ITEMS_PER_CHANGE = 2
LEASE = timedelta(minutes=2)
BEFORE_PERIOD_END = timedelta(minutes=10)
BATCH = 100
MOST_UNITS = "max_quantity"  # the obstacle of a level above what the catalogue allows
WAITING_UNITS = """
    SELECT unit FROM usage_levels WHERE organization_id = %(organization_id)s AND due_at IS NOT NULL
"""

log = structlog.get_logger()


def follow_levels(gateway: Gateway, stopping: Event) -> int:
    """Run the job that changes the quantities of all due levels, and return how many levels it looked at.

    One run looks at each level once. Near the end of a period it would otherwise claim the same levels forever.
    """
    looked_at, last = 0, ("", "")
    while not stopping.is_set() and (claimed := claim_levels(gateway, after=last)):
        for organization_id, unit in claimed:
            follow_level(gateway, organization_id, unit)
        looked_at, last = looked_at + len(claimed), claimed[-1]
    return looked_at


def settle_level(gateway: Gateway, organization_id: str) -> None:
    """Change the quantity without delay if a level waits, before the caller quotes or changes the subscription.

    The quantity stays as it is while a quote may be valid.
    """
    for (unit,) in gateway.database.read(WAITING_UNITS, {"organization_id": organization_id}):
        follow_level(gateway, organization_id, unit, at_once=True)


def keep_for_quote(gateway: Gateway, organization_id: str) -> None:
    """Change the quantity if a level waits, and then keep it while a quote that is made now may be valid.

    A further quote does not extend that time. Otherwise, somebody who asks for quotes again and again would never pay
    for a level that waits.
    """
    settle_level(gateway, organization_id)
    now = gateway.clock()
    is_over = or_(UsageLevel.quoted_until.is_(None), UsageLevel.quoted_until <= now)
    unquoted = update(UsageLevel).where(UsageLevel.organization_id == organization_id, is_over)
    gateway.database.execute(unquoted.values(quoted_until=now + QUOTE_LIFETIME))


def claim_levels(gateway: Gateway, after: tuple[str, str]) -> list[tuple[str, str]]:
    """Claim the levels that are due, or whose period is about to end, in order from ``after`` on.

    Another job repeats them after the lease.
    """
    now = gateway.clock()
    ending = OrganizationPlan.current_period_end
    query = (
        select(UsageLevel)
        .outerjoin(OrganizationPlan, OrganizationPlan.organization_id == UsageLevel.organization_id)
        .where(
            UsageLevel.due_at.is_not(None),
            or_(UsageLevel.due_at <= now, ending.between(now, now + BEFORE_PERIOD_END)),
            tuple_(UsageLevel.organization_id, UsageLevel.unit) > after,
        )
        .order_by(UsageLevel.organization_id, UsageLevel.unit)
        .limit(BATCH)
    )
    with gateway.database.transaction() as session:
        rows = session.scalars(query.with_for_update(skip_locked=True, of=UsageLevel)).all()
        for row in rows:
            row.due_at = now + LEASE
        return [(row.organization_id, row.unit) for row in rows]


def follow_level(gateway: Gateway, organization_id: str, unit: str, *, at_once: bool = False) -> None:
    """Change the quantity to the level, or note when to look again."""
    now = gateway.clock()
    with gateway.database.reading() as session:
        level = session.get_one(UsageLevel, (organization_id, unit))
        billing = load_billing_state(session, organization_id, gateway.catalog)
        plan = gateway.catalog.find(billing.plan_state.requested_plan)
        changes = count_changes(session, organization_id, billing)
    if plan is None or plan.unit != unit or plan.sales or billing.subscription is None:
        note_result(gateway, level, due_at=None)  # a move to another plan buys the level of that time
        return
    end = billing.plan_state.current_period_end or now
    quantity = fit_level(gateway.catalog, billing, plan, level.value)
    if quantity == billing.plan_state.quantity < level.value:
        code = MOST_UNITS if quantity >= plan.max_quantity else ExposureLimit.code
        note_obstacle(gateway, level, code, is_short=True)  # a payment raises what the organization may owe
    elif quantity == billing.plan_state.quantity:
        note_result(gateway, level, due_at=None)
    elif (earliest := find_earliest_change(level, end, changes, now, at_once=at_once)) > now:
        note_result(gateway, level, due_at=earliest)
    else:
        change_quantity(gateway, level, plan, quantity, is_short=quantity > billing.plan_state.quantity)


def change_quantity(gateway: Gateway, level: UsageLevel, plan: CatalogPlan, quantity: int, *, is_short: bool) -> None:
    """Change the quantity as a user does, and note the result. A refused change must not stop the caller."""
    now = gateway.clock()
    caller = Caller(organization_id=level.organization_id, actor=USAGE)
    try:
        change = change_plan(gateway, caller, ChangeCommand(plan=plan.key, quantity=quantity))
    except (ChangeInProgress, StripeUnavailable):
        note_result(gateway, level, due_at=now + LEASE, obstacle=level.obstacle)
    except DatabaseUnavailable:
        raise
    except GatewayError as error:
        note_obstacle(gateway, level, error.code, is_short=is_short)
    else:
        is_over = change.state == "applied" and quantity == max(level.value, 1)
        note_result(gateway, level, due_at=None if is_over else now + LEASE, changed_at=now)


def note_obstacle(gateway: Gateway, level: UsageLevel, code: str, *, is_short: bool) -> None:
    """Log why the quantity cannot follow, and look again later.

    If the quantity ``is_short`` of the level, store the reason too. What is used beyond the quantity is not billed.
    """
    log.warning("level_not_followed", organization_id=level.organization_id, code=code, level=level.value)
    later = gateway.clock() + SHORTEST_PAUSE
    note_result(gateway, level, due_at=later, obstacle=code if is_short else None)


def note_result(
    gateway: Gateway,
    level: UsageLevel,
    *,
    due_at: datetime | None,
    changed_at: datetime | None = None,
    obstacle: str | None = None,
) -> None:
    """Store when to look again. If another value was reported in the meantime, look at it soon."""
    same = (UsageLevel.organization_id == level.organization_id, UsageLevel.unit == level.unit)
    is_new = UsageLevel.value != level.value
    values = {"due_at": case((is_new, gateway.clock()), else_=due_at), "obstacle": obstacle}
    gateway.database.execute(
        update(UsageLevel).where(*same).values(**values, changed_at=changed_at or UsageLevel.changed_at)
    )


def find_earliest_change(level: UsageLevel, end: datetime, changes: int, now: datetime, *, at_once: bool) -> datetime:
    """Return when the quantity may change: not while a quote may be valid, and not before the pause is over.

    Shortly before the period ends, quotes do not count, because they end with it. Then, and for a caller that needs the
    present level, the pause does not count either. That holds while Stripe takes more items on the invoice. ``changes``
    is how many the period until ``end`` has had.
    """
    is_ending = now >= end - BEFORE_PERIOD_END
    if level.quoted_until is not None and level.quoted_until > now and not is_ending:
        return level.quoted_until
    is_urgent = at_once or is_ending
    if level.changed_at is None or (is_urgent and changes * ITEMS_PER_CHANGE < MOST_ITEMS):
        return now
    left = max(1, (ENOUGH_ITEMS - changes * ITEMS_PER_CHANGE) // ITEMS_PER_CHANGE)
    return level.changed_at + max(SHORTEST_PAUSE, (end - level.changed_at) / left)


def count_changes(session: Session, organization_id: str, billing: BillingState) -> int:
    """Return how many changes were applied in this period, by any actor."""
    since = billing.plan_state.current_period_start
    if since is None:
        return 0
    query = select(func.count()).where(
        PlanChange.organization_id == organization_id, PlanChange.created_at >= since, PlanChange.state == "applied"
    )
    return session.scalars(query).one()
