"""Endpoints of meter events (https://docs.stripe.com/api/billing/meter-event) and of their adjustments."""

import re
import uuid
from decimal import Decimal

from stripe.params.billing import MeterEventAdjustmentCreateParams, MeterEventCreateParams

from gateway.sandbox.billing import metering, usage
from gateway.sandbox.errors import invalid, required
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.meter import build_adjustment, build_event
from gateway.sandbox.routing import Routes
from gateway.sandbox.settings import DAY
from gateway.sandbox.work import Work

routes = Routes()
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_PAST_DAYS = 35


@routes.post("/v1/billing/meter_events", MeterEventCreateParams, "event_name identifier payload timestamp")
def create(work: Work, params: Json) -> Json:
    """Record usage.

    Stripe immediately refuses an event that no active meter listens to, as users of its API report. It notices an
    unknown customer later and reports it only in a thin event. The sandbox accepts such usage and bills no customer.
    """
    meter = _meter(work, params["event_name"])
    identifier = params.get("identifier") or _random_identifier(work)
    if metering.recent(work, identifier):
        raise invalid(f"An event already exists with identifier {identifier}.")
    timestamp = params.get("timestamp", work.now)
    _check_time(work, timestamp)
    customer = _from_payload(params["payload"], meter["customer_mapping"]["event_payload_key"])
    metering.record(work, meter["id"], customer, identifier, timestamp, _value(meter, params["payload"]))
    return build_event(work, params, identifier, timestamp)


def _meter(work: Work, event_name: str) -> Json:
    meter = metering.active_meter(work, event_name)
    if meter is None:
        raise invalid(f'No active meter found for event name "{event_name}".', param="event_name")
    return meter


def _random_identifier(work: Work) -> str:
    return str(uuid.UUID(work.ids.text(32, "0123456789abcdef")))


def _check_time(work: Work, timestamp: int) -> None:
    earliest, latest = work.now - _PAST_DAYS * DAY, work.now + usage.AHEAD_SECONDS
    if timestamp < earliest:
        text = f"more than 35 days in past. Expected a timestamp greater than or equal to {earliest}."
    elif timestamp > latest:
        text = f"more than 5 minutes in the future. Expected a timestamp less than or equal to {latest}."
    else:
        return
    raise invalid(f"The event timestamp cannot be {text}", param="timestamp")


def _value(meter: Json, payload: Json) -> Decimal:
    """Return the units used. Each event is one unit for a meter that counts events."""
    if meter["default_aggregation"]["formula"] == "count":
        return Decimal(1)
    key = meter["value_settings"]["event_payload_key"]
    text = _from_payload(payload, key)
    if not _NUMBER.fullmatch(text):
        raise invalid(f"Invalid value for payload key `{key}`: {text}. Expected a number.", param=f"payload[{key}]")
    return Decimal(text)


def _from_payload(payload: Json, key: str) -> str:
    if not payload.get(key):
        raise invalid(f"Missing payload key: {key}.", param=f"payload[{key}]", code="parameter_missing")
    return str(payload[key])


@routes.post("/v1/billing/meter_event_adjustments", MeterEventAdjustmentCreateParams, "cancel event_name type")
def adjust(work: Work, params: Json) -> Json:
    """Cancel an event that was received within the last 24 hours."""
    meter = _meter(work, params["event_name"])
    identifier = params.get("cancel", {}).get("identifier")
    if not identifier:
        raise required("cancel[identifier]")
    known = metering.recent(work, identifier)
    if known is None or known["meter"] != meter["id"]:
        text = f"No event received within the last 24 hours has the identifier {identifier}."
        raise invalid(text, param="cancel[identifier]", code="resource_missing")
    metering.cancel(work, identifier, known["day"])
    return build_adjustment(params)
