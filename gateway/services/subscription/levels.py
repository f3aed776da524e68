"""The quantity that follows from a reported level."""

from datetime import datetime, timedelta

from sqlalchemy import update
from sqlalchemy.orm import Session

from gateway.catalog import Catalog, CatalogPlan
from gateway.db.models import UsageLevel
from gateway.errors import QuantityFollowsUsage
from gateway.services.subscription.billing_state import BillingState
from gateway.services.subscription.exposure import find_max_quantity
from gateway.services.subscription.settlement import choose_settlement

RECHECK_AFTER = timedelta(minutes=1)


def choose_quantity(catalog: Catalog, billing: BillingState, target: CatalogPlan, wanted: int | None) -> int:
    """Return the quantity of a change. Without a reported level, it is ``wanted`` or the default.

    Where a level is reported, a move to another plan buys that level. The present plan keeps its quantity until the
    worker changes it. Raise QuantityFollowsUsage if the user wants another quantity.
    """
    level = billing.levels.get(target.unit or "")
    if level is None:
        return wanted or billing.default_quantity(target.key)
    if target.key == billing.plan_state.requested_plan:
        quantity = billing.default_quantity(target.key)
    else:
        quantity = fit_level(catalog, billing, target, level)
    if wanted not in (None, quantity):
        raise QuantityFollowsUsage(f"The number of {target.unit} determines the quantity. It is {quantity}.")
    return quantity


def fit_level(catalog: Catalog, billing: BillingState, plan: CatalogPlan, value: int) -> int:
    """Return the quantity for a level: at least 1, and not more than the organization may owe.

    The quantity that it has already stays allowed.
    """
    present = billing.plan_state.quantity if plan.key == billing.plan_state.requested_plan else 1
    return max(1, min(value, max(present, find_max_quantity(catalog, billing, plan))))


def find_waiting_quantity(catalog: Catalog, billing: BillingState) -> int | None:
    """Return the quantity that a level gives the plan before the next invoice, which bills it. None if it stays."""
    plan, present = catalog.find(billing.plan_state.requested_plan), billing.plan_state.quantity
    level = billing.levels.get(plan.unit or "") if plan is not None else None
    if plan is None or plan.sales or level is None or billing.contract.is_fixed:
        return None
    quantity = fit_level(catalog, billing, plan, level)
    is_refused = quantity > present and (not billing.is_paid_up or billing.has_lost_dispute)
    if quantity == present or is_refused:
        return None
    settlement = choose_settlement(catalog, billing, plan.key, plan, quantity)
    return quantity if settlement == "on_billing_date" else None


def recheck_levels(session: Session, organization_id: str, now: datetime) -> None:
    """Make the worker compare the levels with the plan that the organization has after a change.

    The change may have bought fewer units than the level, or a level may have been reported since its quote.
    """
    session.execute(
        update(UsageLevel)
        .where(UsageLevel.organization_id == organization_id)
        .values(due_at=now + RECHECK_AFTER)
        .execution_options(synchronize_session=False)
    )
