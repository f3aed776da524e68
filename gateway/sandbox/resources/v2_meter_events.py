"""The endpoint of meter events that are validated synchronously (https://docs.stripe.com/api/v2/billing/meter-event)."""

import re
from datetime import UTC, datetime
from decimal import Decimal

from stripe.params.v2.billing import MeterEventCreateParams

from gateway.sandbox.billing import metering, usage
from gateway.sandbox.errors import v2_error
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.meter import build_v2_event
from gateway.sandbox.objects.thin_event import error_report
from gateway.sandbox.routing import Routes
from gateway.sandbox.settings import DAY
from gateway.sandbox.work import Work

routes = Routes()
_NUMBER = re.compile(r"\d+")
_PAST_DAYS = 35


@routes.post("/v2/billing/meter_events", MeterEventCreateParams, "event_name identifier payload timestamp")
def create(work: Work, params: Json) -> Json:
    """Record usage.

    Stripe refuses an unknown meter, a repeated identifier and an unusable payload immediately. It notices an unknown
    customer later and reports it in a thin event. That a time out of bounds is refused immediately is an inference.
    """
    meter = _meter(work, params["event_name"])
    identifier = params.get("identifier") or work.ids.text(32)
    if metering.recent(work, identifier):
        raise v2_error("duplicate_meter_event", "A meter event with a duplicate identifier has already been submitted.")
    timestamp = _timestamp(work, params)
    customer = params["payload"].get(meter["customer_mapping"]["event_payload_key"])
    if not customer:
        raise v2_error("payload_no_customer_defined", "The payload must have a reference to the customer.")
    value = _value(meter, params["payload"])
    if work.find("customer", customer) is None:
        _report_unknown_customer(work, meter["id"], customer)
    metering.record(work, meter["id"], customer, identifier, timestamp, value)
    return build_v2_event(work, params, identifier, timestamp)


def _meter(work: Work, event_name: str) -> Json:
    named = [meter for meter in work.select("billing.meter") if meter["event_name"] == event_name]
    if not named:
        raise v2_error("no_meter", "A meter must exist to submit events.")
    active = metering.active_meter(work, event_name)
    if active is None:
        raise v2_error("archived_meter", "The meter must be Active to submit events.")
    return active


def _timestamp(work: Work, params: Json) -> int:
    try:
        given = datetime.fromisoformat(params["timestamp"]) if "timestamp" in params else None
    except ValueError:
        raise v2_error("invalid_fields", "`timestamp` must be a time in ISO 8601.") from None
    timestamp = work.now if given is None else int(given.replace(tzinfo=given.tzinfo or UTC).timestamp())
    if timestamp < work.now - _PAST_DAYS * DAY:
        raise v2_error("timestamp_too_far_in_past", "The timestamp must be within the past 35 calendar days.")
    if timestamp > work.now + usage.AHEAD_SECONDS:
        raise v2_error("timestamp_in_future", "The timestamp must be at most 5 minutes in the future.")
    return timestamp


def _value(meter: Json, payload: Json) -> Decimal:
    """Return the units used. Each event is one unit for a meter that counts events."""
    if meter["default_aggregation"]["formula"] == "count":
        return Decimal(1)
    text = payload.get(meter["value_settings"]["event_payload_key"])
    if not text:
        raise v2_error("payload_no_value_defined", "The payload must have a value.")
    if not _NUMBER.fullmatch(text):
        raise v2_error("payload_invalid_value", "The value must be a positive integer.")
    return Decimal(text)


def _report_unknown_customer(work: Work, meter: str, customer: str) -> None:
    key = work.request["idempotency_key"] or ""
    sample = {"error_message": f"No such customer: '{customer}'", "request": {"identifier": key}}
    work.keep(error_report(work, meter, "meter_event_customer_not_found", sample))
