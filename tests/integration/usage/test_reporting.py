"""Usage reaches Stripe once, whatever Stripe answers."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import requests

from gateway.db.models import UsageEvent, UsageReport
from gateway.errors import DatabaseUnavailable
from gateway.services.usage.record import record_usage
from schemas.usage import SentEvent
from tests.support.clock import DAY, StripeTime
from tests.support.stripe_events import deliver
from tests.support.usage import counted_usage, report_usage, send_usage, usage_event
from tests.support.world import World

METER_EVENTS = {"method": "POST", "path": "/v2/billing/meter_events"}
TEN_MINUTES = timedelta(minutes=10)
pytestmark = pytest.mark.usefixtures("plus")


def report(world: World) -> UsageReport:
    [found] = world.rows(UsageReport)
    return found


def soon() -> str:
    """Return a time after the upgrade, which this second may still belong to."""
    return (datetime.now(UTC) + timedelta(seconds=2)).isoformat()


def test_sum_is_sent_once_its_minute_is_over(world: World) -> None:
    send_usage(world, usage_event("e1", 3, occurred_at=soon()), usage_event("e2", 4, occurred_at=soon()))
    assert report_usage(world, after=timedelta(0)) == 0
    assert report_usage(world) == 1
    assert counted_usage(world) == 7
    assert (report(world).state, report_usage(world)) == ("sent", 0)


def test_event_of_a_sealed_report_goes_into_the_next_minutes(world: World) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    standing = replace(world.gateway, clock=lambda: now)  # a request that takes minutes
    events = [SentEvent(each, "org_1", "api_calls", 1, now + timedelta(seconds=2)) for each in ("e1", "e2", "e3")]
    for event in events[:2]:
        assert record_usage(standing, [event]).new == [event.id]
        assert report_usage(world, after=TEN_MINUTES) == 1
    with pytest.raises(DatabaseUnavailable):
        record_usage(standing, [events[2]])
    assert sorted(each.id for each in world.rows(UsageEvent)) == ["e1", "e2"]
    assert [each.events for each in world.rows(UsageReport)] == [1, 1]


@pytest.mark.parametrize(
    ("kind", "state"),
    [("error_before", "sending"), ("error_after", "sending"), ("rate_limit", "sending"), ("response_lost", "sent")],
)
def test_report_is_counted_once_after_a_failure(world: World, kind: str, state: str) -> None:
    send_usage(world, usage_event("e1", 3, occurred_at=soon()))
    world.fault(kind=kind, times=2, **METER_EVENTS)
    report_usage(world)
    assert (report(world).state, report(world).attempts) == (state, 1)
    world.end_faults()
    report_usage(world, after=TEN_MINUTES)
    assert (report(world).state, counted_usage(world)) == ("sent", 3)


@pytest.mark.parametrize("kind", ["error_before", "error_after"])
def test_uncertain_report_is_compared_after_a_day(world: World, stripe_time: StripeTime, kind: str) -> None:
    send_usage(world, usage_event("e1", 3, occurred_at=soon()), usage_event("e2", 5, occurred_at=soon()))
    world.fault(kind=kind, times=2, **METER_EVENTS)
    report_usage(world)
    world.end_faults()
    stripe_time.ahead = 2 * DAY  # Stripe has forgotten identifiers and keys
    report_usage(world, after=timedelta(days=2))
    assert (report(world).state, counted_usage(world)) == ("sent", 8)


def test_refusal_ends_with_its_reason(world: World) -> None:
    send_usage(world, usage_event("e1", occurred_at=soon()))
    for meter in world.stripe.v1.billing.meters.list().data:
        world.stripe.v1.billing.meters.deactivate(meter.id)
    report_usage(world)
    assert (report(world).state, report(world).reason) == ("refused", "unknown_meter")
    assert str(report(world).error).startswith("archived_meter: ")


def test_refused_api_key_refuses_no_usage(world: World) -> None:
    send_usage(world, usage_event("e1", 3, occurred_at=soon()))
    world.spoil_key()
    report_usage(world)
    assert report(world).state == "sending"


def test_deleted_customer_is_unknown(world: World) -> None:
    send_usage(world, usage_event("e1", occurred_at=soon()))
    customer = world.gateway.database.read("SELECT stripe_customer_id FROM organizations", {})[0][0]
    world.stripe.v1.customers.delete(customer)
    world.settle()
    report_usage(world)
    assert (report(world).state, report(world).reason) == ("refused", "unknown_customer")


@pytest.mark.parametrize("kind", ["error_report_triggered", "no_meter_found"])
def test_error_report_marks_a_report_that_was_accepted(world: World, kind: str) -> None:
    send_usage(world, usage_event("e1", occurred_at=soon()))
    customer = world.gateway.database.read("SELECT stripe_customer_id FROM organizations", {})[0][0]
    world.stripe.v1.customers.delete(customer)  # and the gateway does not know it yet
    report_usage(world)
    url, key = world.gateway.config.stripe_api_base, world.gateway.config.stripe_secret_key
    [event] = requests.get(f"{url}/v2/core/events", auth=(key, ""), timeout=5).json()["data"]
    thin = {name: event[name] for name in event if name != "data"} | {"type": f"v1.billing.meter.{kind}"}
    assert deliver(world, json.dumps(thin)).status_code == 200
    world.work()
    assert (report(world).state, report(world).reason) == ("refused", "unknown_customer")


def test_usage_of_the_floor_plan_is_never_sent(world: World) -> None:
    send_usage(world, usage_event("e1", organization_id="org_other"))
    assert (report_usage(world), report(world).state) == (0, "not_billed")
