"""The resource ``/v1/plans``."""

from flask import Response

from gateway.endpoints.apidoc import operation
from gateway.endpoints.blueprint import Blueprint
from gateway.endpoints.limits import limited
from gateway.endpoints.request_context import caller, gateway, requires
from gateway.endpoints.tagged import write_json
from gateway.services.rate_limits.table import RouteClass
from gateway.services.subscription.offers import list_offers
from schemas.plans import PlanListSchema

blueprint = Blueprint("plans", __name__, url_prefix="/v1/plans", description="The catalogue")


@blueprint.get("")
@requires("billing:read")
@operation("listPlans")
@limited(RouteClass.READ)
@blueprint.response(200, PlanListSchema)
def list_plans() -> Response:
    """List the plans, and what the organization may do about each of them."""
    return write_json({"data": list_offers(gateway(), caller())})
