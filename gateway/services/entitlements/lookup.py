"""Read an organization's plan and entitlements with one indexed read and without ORM objects.

Other services call this more often than anything else.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Text, bindparam, func, select

from gateway.catalog import Catalog, CatalogPlan
from gateway.db.models import OrganizationPlan, SpendAlerts, SpendCrossing, UsageLevel
from gateway.db.prepared import Prepared
from gateway.db.queries import among_those
from gateway.json_types import Json
from gateway.services.entitlements.over_limits import find_levels, find_over_limits
from gateway.services.plan_table.derive import find_subscribed_plan
from gateway.services.plan_table.standing import GOOD, NO_SUBSCRIPTION
from gateway.services.runtime import Gateway


class CurrentPlan(NamedTuple):
    """The columns of the plan table that entitlements follow from."""

    organization_id: str
    plan: str
    requested_plan: str
    status: str
    standing: str
    quantity: int
    granted_until: datetime | None
    version: int
    leaving: bool = False
    over_spend_until: datetime | None = None
    """The end of the period in which the spend reached the present spend limit."""
    reported_levels: Mapping[str, int] | None = None
    """The levels that services have reported, by unit."""


OVER_SPEND_UNTIL = (
    select(func.max(SpendCrossing.period_end))
    .join(SpendAlerts, SpendAlerts.organization_id == SpendCrossing.organization_id)
    .where(
        SpendCrossing.organization_id == OrganizationPlan.organization_id,
        SpendCrossing.kind == "limit",
        SpendCrossing.amount == SpendAlerts.spend_limit,
    )
    .correlate(OrganizationPlan)
    .scalar_subquery()
)
REQUESTED = select(bindparam("organization_id", type_=Text).label("id")).subquery()
REPORTED_LEVELS = (
    select(func.json_object_agg(UsageLevel.unit, UsageLevel.value))
    .where(UsageLevel.organization_id == REQUESTED.c.id)
    .correlate(REQUESTED)
    .scalar_subquery()
)
# The last fields come from other tables.
OTHER_FIELDS = {"over_spend_until": OVER_SPEND_UNTIL, "reported_levels": REPORTED_LEVELS}
PLAN_COLUMNS = [getattr(OrganizationPlan, name) for name in CurrentPlan._fields if name not in OTHER_FIELDS]
# A service may report the levels of an organization that has no plan yet.
FIND_ONE = Prepared(
    select(*PLAN_COLUMNS, *OTHER_FIELDS.values())
    .select_from(REQUESTED)
    .outerjoin(OrganizationPlan, OrganizationPlan.organization_id == REQUESTED.c.id)
)
FIND_SEVERAL = Prepared(select(*PLAN_COLUMNS).where(among_those(OrganizationPlan.organization_id, "organization_ids")))


def find_current_plan(gateway: Gateway, organization_id: str) -> CurrentPlan:
    """Return an organization's plan now. One that the gateway has never seen is on the floor plan."""
    [row] = FIND_ONE.read(gateway.database, {"organization_id": organization_id})
    if row[0] is None:
        return never_seen(gateway, organization_id)._replace(reported_levels=row[-1])
    return read_row(gateway, row)


def find_current_plans(gateway: Gateway, organization_ids: Sequence[str]) -> list[CurrentPlan]:
    """Return the plans of several organizations in the order of their ids, without spend limits and levels."""
    rows = FIND_SEVERAL.read(gateway.database, {"organization_ids": organization_ids})
    found = {row[0]: read_row(gateway, row) for row in rows}
    return [found.get(each) or never_seen(gateway, each) for each in organization_ids]


def read_row(gateway: Gateway, row: Sequence[Any]) -> CurrentPlan:
    """Return the plan of a row, without a grant or a spend limit that is over."""
    current = CurrentPlan(*row)
    if current.over_spend_until is not None and gateway.clock() >= current.over_spend_until:
        current = current._replace(over_spend_until=None)
    if current.granted_until is None or gateway.clock() < current.granted_until:
        return current
    plan = find_subscribed_plan(
        current.requested_plan,
        current.status,
        current.standing,
        leaving=current.leaving,
        floor=gateway.catalog.floor.key,
    )
    return current._replace(plan=plan, granted_until=None)


def never_seen(gateway: Gateway, organization_id: str) -> CurrentPlan:
    """Return the plan of an organization that the gateway has never seen."""
    floor = gateway.catalog.floor.key
    return CurrentPlan(organization_id, floor, floor, NO_SUBSCRIPTION, GOOD, 1, None, 0)


def find_usable_plan(catalog: Catalog, key: str) -> CatalogPlan:
    """Return the plan whose entitlements the plan with this key gives.

    A plan that the catalogue does not know, such as an unmapped one, gives those of the floor plan.
    """
    return catalog.find(key) or catalog.floor


def show_plan(catalog: Catalog, current: CurrentPlan) -> Json:
    """Return an organization's plan as ``schemas.entitlements.CurrentPlanSchema`` describes it."""
    return {
        "organization_id": current.organization_id,
        "plan": current.plan,
        "plan_name": catalog.name_of(current.plan),
        "status": current.status,
        "standing": current.standing,
        "quantity": current.quantity,
        "granted_until": current.granted_until,
        "version": current.version,
    }


def show_entitlements(catalog: Catalog, current: CurrentPlan) -> Json:
    """Return an organization's entitlements as ``schemas.entitlements.EntitlementsSchema`` describes them."""
    plan = find_usable_plan(catalog, current.plan)
    levels = find_levels(catalog, current.requested_plan, current.quantity, current.reported_levels or {})
    return show_plan(catalog, current) | {
        "limits": catalog.list_limits(plan),
        "features": catalog.list_features(plan),
        "levels": levels,
        "over_limits": [each._asdict() for each in find_over_limits(catalog, plan, levels)],
        "over_spend_limit": current.over_spend_until is not None,
    }
