"""``/v1/subscription/history`` lists the plans that the organization had."""

from typing import Any

from gateway.endpoints.apidoc import operation
from gateway.endpoints.blueprint import Blueprint
from gateway.endpoints.limits import limited
from gateway.endpoints.request_context import caller, gateway, requires
from gateway.services.plan_table import history
from gateway.services.rate_limits.table import RouteClass
from schemas.history import HistoryQuerySchema, HistorySchema

blueprint = Blueprint("history", __name__, url_prefix="/v1/subscription/history", description="The history of the plan")


@blueprint.get("")
@requires("billing:read")
@operation("listPlanHistory")
@limited(RouteClass.READ)
@blueprint.arguments(HistoryQuerySchema, location="query")
@blueprint.response(200, HistorySchema)
def show(query: dict[str, Any]) -> history.Page:
    """List who changed the plan, when and why, newest first. With `at`, return the plan at that time."""
    if "at" in query:
        return history.find_entry_at(gateway(), caller(), query["at"])
    return history.list_entries(gateway(), caller(), limit=query["limit"], starting_after=query.get("starting_after"))
