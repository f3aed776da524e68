"""The resource ``/v1/billing-portal``."""

from gateway import errors
from gateway.endpoints.apidoc import FROM_STRIPE, operation
from gateway.endpoints.blueprint import Blueprint
from gateway.endpoints.limits import limited
from gateway.endpoints.request_context import caller, gateway, requires
from gateway.services.customers.billing_portal import open_portal
from gateway.services.rate_limits.table import RouteClass
from schemas.billing_portal import OpenPortalSchema, PortalSchema

blueprint = Blueprint(
    "billing_portal", __name__, url_prefix="/v1/billing-portal", description="Stripe's billing portal"
)


@blueprint.post("")
@requires("billing:write")
@operation("openBillingPortal", *FROM_STRIPE, errors.CustomerMissing)
@limited(RouteClass.STRIPE)
@blueprint.arguments(OpenPortalSchema)
@blueprint.response(201, PortalSchema)
def create(body: dict[str, str]) -> dict[str, str]:
    """Open Stripe's billing portal for cards, invoices and tax ids. It changes no plan."""
    return {"url": open_portal(gateway(), caller(), body["return_url"])}
