"""A plan change as the interface shows it."""

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from gateway.db.models import Json, PlanChange
from gateway.errors import NotFound
from gateway.services.context import Caller, Gateway
from gateway.services.plan_details import PlanDetails, read_details

CHANGE_ID = re.compile(r"\Achg_[0-9a-f]{32}\Z")


@dataclass(frozen=True, kw_only=True)
class ChangeView:
    """A change, and the plan as it stands now."""

    id: str
    state: str
    from_plan: str
    to_plan: str
    quantity: int
    client_secret: str | None
    error: Json | None
    created_at: datetime
    subscription: PlanDetails


def location_of(change_id: str) -> dict[str, str]:
    """Where a change is found."""
    return {"Location": f"/v1/subscription/changes/{change_id}"}


def get_change(gateway: Gateway, caller: Caller, change_id: str) -> ChangeView:
    """One of the organization's changes. Raises NotFound."""
    if not CHANGE_ID.match(change_id):
        raise NotFound("There is no such change.")
    with gateway.database.reading() as session:
        found = session.get(PlanChange, change_id)
        if found is None or found.organization_id != caller.organization_id:
            raise NotFound("There is no such change.")
        return ChangeView(
            id=found.id,
            state=found.state,
            from_plan=found.from_plan,
            to_plan=found.to_plan,
            quantity=found.quantity,
            client_secret=found.client_secret,
            error=found.error,
            created_at=found.created_at,
            subscription=read_details(session, gateway.catalog, caller.organization_id),
        )


def list_changes(gateway: Gateway, caller: Caller) -> list[PlanChange]:
    """The organization's last changes, newest first."""
    query = select(PlanChange).where(PlanChange.organization_id == caller.organization_id)
    with gateway.database.transaction() as session:
        return list(session.scalars(query.order_by(PlanChange.created_at.desc(), PlanChange.id).limit(100)))
