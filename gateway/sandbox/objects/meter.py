"""https://docs.stripe.com/api/billing/meter/object, and what hangs on it."""

import hashlib

from gateway.sandbox.json_types import Json
from gateway.sandbox.work import Work


def build(work: Work, params: Json) -> Json:
    """An active meter."""
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
    """https://docs.stripe.com/api/billing/meter-event/object; it has no id."""
    return {
        "object": "billing.meter_event",
        "created": work.now,
        "event_name": params["event_name"],
        "identifier": identifier,
        "livemode": False,
        "payload": params["payload"],
        "timestamp": timestamp,
    }


def build_adjustment(params: Json) -> Json:
    """https://docs.stripe.com/api/billing/meter-event-adjustment/object; ``pending``, as its documentation shows it."""
    return {
        "object": "billing.meter_event_adjustment",
        "cancel": {"identifier": params["cancel"]["identifier"]},
        "event_name": params["event_name"],
        "livemode": False,
        "status": "pending",
        "type": "cancel",
    }


def build_summary(meter: str, customer: str, start: int, end: int, value: float) -> Json:
    """https://docs.stripe.com/api/billing/meter-event-summary/object; the same question gets the same id."""
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
