"""The resource ``/v1/spend-alerts``."""

from typing import Any

from gateway.endpoints.apidoc import operation
from gateway.endpoints.blueprint import Blueprint
from gateway.endpoints.limits import limited
from gateway.endpoints.request_context import caller, gateway, requires
from gateway.services.rate_limits.table import RouteClass
from gateway.services.spend_alerts.settings import AlertSettings, replace_settings, show_settings
from schemas.spend_alerts import ShownSpendAlertsSchema, SpendAlertsSchema

blueprint = Blueprint("spend_alerts", __name__, url_prefix="/v1/spend-alerts", description="Alerts about the spend")


@blueprint.get("")
@requires("billing:read")
@operation("getSpendAlerts")
@limited(RouteClass.READ)
@blueprint.response(200, ShownSpendAlertsSchema)
def show() -> AlertSettings:
    """Return the amounts at which the organization gets an alert, and its spend limit."""
    return show_settings(gateway(), caller())


@blueprint.put("")
@requires("billing:write")
@operation("replaceSpendAlerts")
@limited(RouteClass.STRIPE)
@blueprint.arguments(SpendAlertsSchema)
@blueprint.response(200, ShownSpendAlertsSchema)
def replace(body: dict[str, Any]) -> AlertSettings:
    """Replace the amounts and the spend limit."""
    return replace_settings(gateway(), caller(), body["amounts"], body["spend_limit"])
