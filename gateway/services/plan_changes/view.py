"""Plan changes as the API shows them."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import and_, bindparam, select
from sqlalchemy.orm import aliased

from gateway.db.models import Organization, PlanChange
from gateway.db.prepared import Prepared
from gateway.errors import NotFound
from gateway.json_types import Json
from gateway.services.plan_table.attribution import CHANGE_ID_PATTERN
from gateway.services.runtime import Caller, Gateway
from gateway.services.subscription.billing_rows import UNREAD
from gateway.services.subscription.details_row import SELECT_DETAILS, DetailsRow
from gateway.services.subscription.plan_details import PlanDetails, build_plan_details

REQUESTED_CHANGE = aliased(PlanChange)
CHANGE_AND_DETAILS = Prepared(
    SELECT_DETAILS.add_columns(REQUESTED_CHANGE).join(
        REQUESTED_CHANGE,
        and_(REQUESTED_CHANGE.organization_id == Organization.id, REQUESTED_CHANGE.id == bindparam("change_id")),
    ),
    without=UNREAD,
)


@dataclass(frozen=True, kw_only=True)
class ChangeView:
    """A change together with the present Plan Details."""

    id: str
    state: str
    from_plan: str
    to_plan: str
    quantity: int
    interval: str | None
    client_secret: str | None = field(repr=False)
    error: Json | None
    created_at: datetime
    subscription: PlanDetails


def get_change(gateway: Gateway, caller: Caller, change_id: str) -> ChangeView:
    """Return one of the organization's changes. Raise NotFound."""
    if not CHANGE_ID_PATTERN.fullmatch(change_id):
        raise NotFound("There is no such change.")
    parameters = {"organization_id": caller.organization_id, "change_id": change_id}
    rows = CHANGE_AND_DETAILS.read(gateway.database, parameters)
    if not rows:
        raise NotFound("There is no such change.")
    *columns, found = rows[0]
    return ChangeView(
        id=found.id,
        state=found.state,
        from_plan=found.from_plan,
        to_plan=found.to_plan,
        quantity=found.quantity,
        interval=found.interval,
        client_secret=found.client_secret,
        error=found.error,
        created_at=found.created_at,
        subscription=build_plan_details(gateway, caller, DetailsRow(*columns)),
    )


def list_changes(gateway: Gateway, caller: Caller) -> list[PlanChange]:
    """Return the organization's last 100 changes, newest first."""
    query = select(PlanChange).where(PlanChange.organization_id == caller.organization_id)
    with gateway.database.reading() as session:
        return list(session.scalars(query.order_by(PlanChange.created_at.desc(), PlanChange.id).limit(100)))
