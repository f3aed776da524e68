"""The resource ``/v1/usage``."""

from datetime import date
from typing import Any

from gateway.endpoints.apidoc import FROM_STRIPE, operation
from gateway.endpoints.blueprint import Blueprint
from gateway.endpoints.limits import limited
from gateway.endpoints.request_context import caller, gateway, requires, requires_service
from gateway.services.levels.report import report_level
from gateway.services.quotes.estimate import DatedEstimate, load_estimate
from gateway.services.rate_limits.table import RouteClass
from gateway.services.usage.record import record_usage
from gateway.services.usage.series import UsageSeries, load_series
from schemas.usage import (
    RecordedUsageSchema,
    SentEvent,
    UsageEstimateSchema,
    UsageLevelSchema,
    UsageQuerySchema,
    UsageSchema,
    UsageSeriesSchema,
)

blueprint = Blueprint("usage", __name__, url_prefix="/v1/usage", description="Usage that is billed")


@blueprint.post("")
@requires_service("usage:write")
@operation("recordUsage")
@limited(RouteClass.SERVICE)
@blueprint.arguments(UsageSchema)
@blueprint.response(202, RecordedUsageSchema)
def record(body: dict[str, list[SentEvent]]) -> dict[str, Any]:
    """Store usage events of any organizations. An event that is sent again is not counted again."""
    recorded = record_usage(gateway(), body["events"])
    refused = [{"id": each, "reason": reason} for each, reason in recorded.refused.items()]
    return {"new": recorded.new, "known": recorded.known, "refused": refused}


@blueprint.put("/levels")
@requires_service("usage:write")
@operation("reportUsageLevel")
@limited(RouteClass.SERVICE)
@blueprint.arguments(UsageLevelSchema)
@blueprint.response(202, UsageLevelSchema)
def report(body: dict[str, Any]) -> dict[str, Any]:
    """Report how many an organization has of what its plan's quantity counts. The subscription follows."""
    report_level(gateway(), body["organization_id"], body["meter"], body["value"])
    return body


@blueprint.get("")
@requires("billing:read")
@operation("getUsage")
@limited(RouteClass.READ)
@blueprint.arguments(UsageQuerySchema, location="query")
@blueprint.response(200, UsageSeriesSchema)
def show(query: dict[str, date]) -> UsageSeries:
    """Show usage by meter and day, and how much of it Stripe has counted."""
    return load_series(gateway(), caller().organization_id, query.get("first"), query.get("last"))


@blueprint.get("/estimate")
@requires("billing:read")
@operation("getUsageEstimate", *FROM_STRIPE)
@limited(RouteClass.STRIPE)
@blueprint.response(200, UsageEstimateSchema)
def estimate() -> dict[str, DatedEstimate | None]:
    """Show what the next invoice would be now, as Stripe previews it. It is kept for five minutes."""
    return {"estimate": load_estimate(gateway(), caller().organization_id)}
