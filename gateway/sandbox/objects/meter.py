"""Builders of meters (https://docs.stripe.com/api/billing/meter/object), their events, adjustments and summaries."""

import hashlib

from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.thin_event import iso
from gateway.sandbox.work import Work


def build(work: Work, params: Json) -> Json:
    """Return a new, active meter."""
    mapping = {"event_payload_key": "stripe_customer_id", "type": "by_id"}
    return {
        "id": work.ids.new("mtr_test").replace("mtr_test_1", "mtr_test_61"),
        "object": "billing.meter",
        "created": work.now,
        "customer_mapping": params.get("customer_mapping", mapping),
        "default_aggregation": params["default_aggregation"],
        "display_name": params["display_name"],
        "event_name": params["event_name"],
        "event_time_window": params.get("event_time_window"),
        "livemode": False,
        "status": "active",
        "status_transitions": {"deactivated_at": None},
        "updated": work.now,
        "value_settings": params.get("value_settings", {"event_payload_key": "value"}),
    }


def build_event(work: Work, params: Json, identifier: str, timestamp: int) -> Json:
    """Return a meter event, which has no id (https://docs.stripe.com/api/billing/meter-event/object)."""
    return {
        "object": "billing.meter_event",
        "created": work.now,
        "event_name": params["event_name"],
        "identifier": identifier,
        "livemode": False,
        "payload": params["payload"],
        "timestamp": timestamp,
    }


def build_v2_event(work: Work, params: Json, identifier: str, timestamp: int) -> Json:
    """Return a meter event of v2, whose times are text (https://docs.stripe.com/api/v2/billing/meter-event/object)."""
    return build_event(work, params, identifier, timestamp) | {
        "object": "v2.billing.meter_event",
        "created": iso(work.now),
        "timestamp": iso(timestamp),
    }


def build_adjustment(params: Json) -> Json:
    """Return a meter event adjustment that is ``pending``, as Stripe's documentation shows it.

    https://docs.stripe.com/api/billing/meter-event-adjustment/object
    """
    return {
        "object": "billing.meter_event_adjustment",
        "cancel": {"identifier": params["cancel"]["identifier"]},
        "event_name": params["event_name"],
        "livemode": False,
        "status": "pending",
        "type": "cancel",
    }


def build_summary(meter: str, customer: str, start: int, end: int, value: float) -> Json:
    """Return a summary of usage. A repeated query gets the same id.

    https://docs.stripe.com/api/billing/meter-event-summary/object
    """
    digest = hashlib.sha256(f"{meter}/{customer}/{start}/{end}".encode()).hexdigest()
    return {
        "id": f"mtrusg_test_{digest}",
        "object": "billing.meter_event_summary",
        "aggregated_value": value,
        "end_time": end,
        "livemode": False,
        "meter": meter,
        "start_time": start,
    }
