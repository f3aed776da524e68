"""``/v1/plans``."""

from gateway.endpoints.blueprint import Blueprint
from gateway.endpoints.context import caller, gateway, requires
from gateway.services import plans
from schemas.plans import PlanListSchema

blueprint = Blueprint("plans", __name__, url_prefix="/v1/plans", description="The catalogue")


@blueprint.get("")
@requires("billing:read")
@blueprint.response(200, PlanListSchema)
def list_plans() -> dict[str, list[plans.PlanOffer]]:
    """List the plans, and for each one what the organization may do."""
    return {"data": plans.offers(gateway(), caller())}
