"""Store a level. The last value wins."""

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert

from gateway.db.models import UsageLevel
from gateway.errors import InvalidRequest
from gateway.services.runtime import Gateway


def report_level(gateway: Gateway, organization_id: str, unit: str, value: int) -> None:
    """Store a level, which the worker applies later. Raise InvalidRequest if no plan's quantity counts ``unit``."""
    units = sorted({plan.unit for plan in gateway.catalog.plans if plan.unit is not None})
    if unit not in units:
        known = f"Must be one of: {', '.join(units)}." if units else "No plan's quantity counts anything."
        raise InvalidRequest("No plan counts this.", errors={"meter": [known]})
    upsert = insert(UsageLevel).values(organization_id=organization_id, unit=unit, value=value, due_at=gateway.clock())
    new = {"value": upsert.excluded.value, "due_at": func.coalesce(UsageLevel.due_at, upsert.excluded.due_at)}
    gateway.database.execute(upsert.on_conflict_do_update(index_elements=["organization_id", "unit"], set_=new))
