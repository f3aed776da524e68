"""Endpoints of the customer portal (https://docs.stripe.com/customer-management/integrate-customer-portal)."""

from stripe.params.billing_portal import (
    ConfigurationCreateParams,
    ConfigurationListParams,
    ConfigurationRetrieveParams,
    ConfigurationUpdateParams,
    SessionCreateParams,
)

from gateway.sandbox.errors import invalid, required
from gateway.sandbox.json_types import Json
from gateway.sandbox.metadata import merged
from gateway.sandbox.objects import portal
from gateway.sandbox.pagination import CURSORS, page
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()
_PATH = "/v1/billing_portal/configurations"
_FEATURES = " ".join(
    f"features[{name}]"
    for name in (
        "customer_update",
        "invoice_history",
        "payment_method_update",
        "subscription_cancel][enabled",
        "subscription_pause][enabled",
        "subscription_update][enabled",
    )
)


@routes.post(_PATH, ConfigurationCreateParams, f"{_FEATURES} metadata name")
def create(work: Work, params: Json) -> Json:
    """Create a configuration."""
    return work.add(portal.configuration(work, params))


@routes.get(f"{_PATH}/{{configuration}}", ConfigurationRetrieveParams)
def retrieve(work: Work, params: Json, configuration: str) -> Json:
    """Return a configuration."""
    return work.get(portal.CONFIGURATION, configuration)


@routes.post(f"{_PATH}/{{configuration}}", ConfigurationUpdateParams, f"active {_FEATURES} metadata name")
def update(work: Work, params: Json, configuration: str) -> Json:
    """Set the given features and fields, or deactivate the configuration."""
    found = work.get(portal.CONFIGURATION, configuration)
    changes: Json = {key: params[key] for key in ("active", "name") if key in params}
    changes["features"] = portal.features(found["features"], params.get("features", {}))
    if "metadata" in params:
        changes["metadata"] = merged(found["metadata"], params["metadata"])
    return work.update(found, changes | {"updated": work.now})


@routes.get(_PATH, ConfigurationListParams, f"{CURSORS} active")
def list_all(work: Work, params: Json) -> Json:
    """List the configurations, filtered by ``active``."""
    rows = (row for row in work.select(portal.CONFIGURATION) if params.get("active") in (None, row["active"]))
    return page(work, rows, params, kind=portal.CONFIGURATION, url=_PATH)


@routes.post("/v1/billing_portal/sessions", SessionCreateParams, "customer configuration return_url locale")
def open_session(work: Work, params: Json) -> Json:
    """Create a session for a customer. It needs a configuration, because the sandbox has no default one."""
    if "customer" not in params:
        raise required("customer")
    work.get("customer", params["customer"], param="customer", status=400)
    if "configuration" not in params:  # the text is inferred
        raise invalid("You can't create a portal session until you save your customer portal settings.")
    configuration = work.get(portal.CONFIGURATION, params["configuration"], param="configuration", status=400)
    if not configuration["active"]:  # the text is inferred
        raise invalid("This portal configuration is inactive.", param="configuration")
    return work.add(portal.session(work, params, configuration["id"]))
