"""The plans and entitlements of organizations. The UI reads its own organization's, and services read any."""

from flask import Response
from werkzeug.routing import BaseConverter

from gateway.endpoints.apidoc import operation, path_id
from gateway.endpoints.blueprint import Blueprint
from gateway.endpoints.limits import limited
from gateway.endpoints.request_context import caller, gateway, requires, requires_service
from gateway.endpoints.tagged import Tagged, tagged, write_json
from gateway.errors import NotFound
from gateway.services.entitlements.lookup import (
    find_current_plan,
    find_current_plans,
    show_entitlements,
    show_plan,
)
from gateway.services.rate_limits.table import RouteClass
from schemas.entitlements import CurrentPlanListSchema, CurrentPlanSchema, EntitlementsSchema, PlansQuerySchema
from schemas.fields import ORGANIZATION_ID_PATTERN


class OrganizationId(BaseConverter):
    """The id of an organization in a path, as a token may name it. Any other path is unknown, so it is 404."""

    regex = ORGANIZATION_ID_PATTERN.pattern


IN_PATH = path_id("organization_id", "org_1")
blueprint = Blueprint("entitlements", __name__, url_prefix="/v1", description="What organizations may use")


@blueprint.get("/entitlements")
@requires("billing:read")
@operation("getEntitlements")
@limited(RouteClass.READ)
@blueprint.response(200, EntitlementsSchema)
@tagged
def show_own() -> Tagged:
    """Return the plan, limits and features of the organization."""
    return Tagged(show_entitlements(gateway().catalog, find_current_plan(gateway(), caller().organization_id)))


@blueprint.get("/organizations/<organization:organization_id>/entitlements", parameters=IN_PATH)
@requires_service("plans:read")
@operation("getOrganizationEntitlements", NotFound)
@limited(RouteClass.READ)
@blueprint.response(200, EntitlementsSchema)
@tagged
def show(organization_id: str) -> Tagged:
    """Return the plan, limits and features of any organization, for another service."""
    return Tagged(show_entitlements(gateway().catalog, find_current_plan(gateway(), organization_id)))


@blueprint.get("/organizations/<organization:organization_id>/plan", parameters=IN_PATH)
@requires_service("plans:read")
@operation("getOrganizationPlan", NotFound)
@limited(RouteClass.READ)
@blueprint.response(200, CurrentPlanSchema)
@tagged
def show_one(organization_id: str) -> Tagged:
    """Return the plan of any organization, for another service."""
    return Tagged(show_plan(gateway().catalog, find_current_plan(gateway(), organization_id)))


@blueprint.post("/organizations/plans")
@requires_service("plans:read")
@operation("listOrganizationPlans")
@limited(RouteClass.READ)
@blueprint.arguments(PlansQuerySchema)
@blueprint.response(200, CurrentPlanListSchema)
def show_several(query: dict[str, list[str]]) -> Response:
    """Return the plans of several organizations, in the order of their ids."""
    found = find_current_plans(gateway(), query["organization_ids"])
    return write_json({"data": [show_plan(gateway().catalog, each) for each in found]})
