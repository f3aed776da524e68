"""Endpoints of meters (https://docs.stripe.com/api/billing/meter) and of their event summaries."""

from stripe.params.billing import (
    MeterCreateParams,
    MeterDeactivateParams,
    MeterEventSummaryListParams,
    MeterListParams,
    MeterReactivateParams,
    MeterRetrieveParams,
    MeterUpdateParams,
)

from gateway.sandbox.billing import metering
from gateway.sandbox.errors import StripeError, invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.meter import build, build_summary
from gateway.sandbox.pagination import CURSORS, page, page_of
from gateway.sandbox.routing import Routes
from gateway.sandbox.settings import DAY
from gateway.sandbox.work import Work

routes = Routes()
_MINUTE = 60


@routes.post(
    "/v1/billing/meters",
    MeterCreateParams,
    "customer_mapping default_aggregation display_name event_name event_time_window value_settings",
)
def create(work: Work, params: Json) -> Json:
    """Create a meter. Only one active meter may listen to an event name."""
    if metering.active_meter(work, params["event_name"]):
        raise _name_taken(params["event_name"])
    return work.add(build(work, params))


def _name_taken(event_name: str) -> StripeError:
    return invalid(
        f"An active meter already exists for event name '{event_name}'. To create a new meter with the same event "
        "name, first deactivate the currently active meter."
    )


@routes.get("/v1/billing/meters/{meter}", MeterRetrieveParams)
def retrieve(work: Work, params: Json, meter: str) -> Json:
    """Return a meter."""
    return work.get("billing.meter", meter)


@routes.post("/v1/billing/meters/{meter}", MeterUpdateParams, "display_name")
def update(work: Work, params: Json, meter: str) -> Json:
    """Change the display name, the only field of a meter that can change."""
    found = work.get("billing.meter", meter)
    name = params.get("display_name", found["display_name"])
    return found if name == found["display_name"] else work.update(found, {"display_name": name, "updated": work.now})


@routes.get("/v1/billing/meters", MeterListParams, f"{CURSORS} status")
def list_all(work: Work, params: Json) -> Json:
    """List meters, newest first."""
    rows = (row for row in work.select("billing.meter") if params.get("status") in (None, row["status"]))
    return page(work, rows, params, kind="billing.meter", url="/v1/billing/meters")


@routes.post("/v1/billing/meters/{meter}/deactivate", MeterDeactivateParams)
def deactivate(work: Work, params: Json, meter: str) -> Json:
    """Accept no more events. Existing prices still bill the usage already reported."""
    found = work.get("billing.meter", meter)
    if found["status"] == "inactive":
        raise invalid("This meter is already inactive.")
    changes = {"status": "inactive", "status_transitions": {"deactivated_at": work.now}, "updated": work.now}
    return work.update(found, changes, "billing.meter.deactivated")


@routes.post("/v1/billing/meters/{meter}/reactivate", MeterReactivateParams)
def reactivate(work: Work, params: Json, meter: str) -> Json:
    """Accept events again."""
    found = work.get("billing.meter", meter)
    if found["status"] == "active":
        raise invalid("This meter is already active.")
    if metering.active_meter(work, found["event_name"]):
        raise _name_taken(found["event_name"])
    changes = {"status": "active", "status_transitions": {"deactivated_at": None}, "updated": work.now}
    return work.update(found, changes, "billing.meter.reactivated")


@routes.get(
    "/v1/billing/meters/{meter}/event_summaries",
    MeterEventSummaryListParams,
    f"{CURSORS} customer start_time end_time value_grouping_window",
)
def list_summaries(work: Work, params: Json, meter: str) -> Json:
    """Return a customer's usage as one sum, or as one sum per hour or day, latest first as documented.

    Hours and days without usage are left out.
    """
    found = work.get("billing.meter", meter)
    work.get("customer", params["customer"], param="customer", status=400)
    window = params.get("value_grouping_window", "")
    start, end = params["start_time"], params["end_time"]
    _check_aligned(params, metering.WINDOWS.get(window, _MINUTE))
    events = metering.events(work, meter, params["customer"], start, end)
    windows = _windows(events, metering.WINDOWS[window]) if window else [(start, end, events)]
    rows = []
    for begin, until, counted in windows:
        value = metering.aggregate(found, counted)
        shown = int(value) if value == int(value) else float(value)
        rows.append(build_summary(meter, params["customer"], begin, until, shown))
    return page_of(rows, params, kind="billing.meter_event_summary", url=f"/v1/billing/meters/{meter}/event_summaries")


def _windows(events: list[metering.Event], size: int) -> list[tuple[int, int, list[metering.Event]]]:
    found: dict[int, list[metering.Event]] = {}
    for event in events:
        found.setdefault(event.timestamp - event.timestamp % size, []).append(event)
    return [(begin, begin + size, found[begin]) for begin in sorted(found, reverse=True)]


def _check_aligned(params: Json, size: int) -> None:
    names = {_MINUTE: "minute", metering.HOUR: "hour", DAY: "day (UTC)"}
    for name in ("start_time", "end_time"):
        if params[name] % size:
            raise invalid(f"`{name}` must be aligned with {names[size]} boundaries.", param=name)
    if params["end_time"] <= params["start_time"]:
        raise invalid("`end_time` must be after `start_time`.", param="end_time")
