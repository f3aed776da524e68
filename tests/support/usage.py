"""Sends usage to the gateway and on to Stripe, and reads what Stripe has counted."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

from gateway.services.usage.record import SEALED_AFTER
from gateway.services.usage.report_to_stripe import send_due_reports
from tests.support.deployment import Deployment
from tests.support.json_types import Json
from tests.support.world import World

EVENT_NAMES = {"api_calls": "konnect_api_calls", "portal_services": "konnect_portal_services"}


def usage_event(event_id: str, quantity: int = 1, **fields: Any) -> Json:
    """Return an event of org_1 that occurs now."""
    now = datetime.now(UTC).isoformat()
    return {
        "id": event_id,
        "organization_id": "org_1",
        "meter": "api_calls",
        "quantity": quantity,
        "occurred_at": now,
    } | fields


def send_usage(world: World, *events: Json) -> Json:
    """Send the events as a service does."""
    return world.api(scopes=("usage:write",)).ok("POST", "/usage", events=list(events))


def report_usage(world: World, *, after: timedelta = SEALED_AFTER) -> int:
    """Send the due reports to Stripe, as the job does ``after`` this time."""
    later = datetime.now(UTC) + after
    return send_due_reports(replace(world.gateway, clock=lambda: later), Event())


def counted_usage(world: World | Deployment, meter: str = "api_calls", organization_id: str = "org_1") -> float:
    """Return Stripe's sum of the organization's usage."""
    customer = world.gateway.database.read(
        "SELECT stripe_customer_id FROM organizations WHERE id = %(id)s", {"id": organization_id}
    )[0][0]
    meters = world.stripe.v1.billing.meters.list({"limit": 100}).data
    meter_id = next(each.id for each in meters if each.event_name == EVENT_NAMES[meter])
    day = 86400
    today = int(datetime.now(UTC).timestamp()) // day * day
    found = world.stripe.v1.billing.meters.event_summaries.list(
        meter_id, {"customer": customer, "start_time": today - 36 * day, "end_time": today + 2 * day}
    )
    return sum(each.aggregated_value for each in found.data)
