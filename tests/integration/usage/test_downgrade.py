"""A downgrade bills the usage that the gateway has not sent yet."""

from datetime import UTC, datetime, timedelta

from gateway.db.models import Organization
from gateway.services.plan_changes.execute import finish_change
from tests.support.api import ApiClient
from tests.support.usage import counted_usage, send_usage, usage_event
from tests.support.world import World


def soon() -> str:
    """Return a time after the upgrade, which Stripe bills at the price of Plus."""
    return (datetime.now(UTC) + timedelta(seconds=1)).isoformat()


def billed_usage(world: World) -> int:
    """Return the units of usage that Stripe has made invoice items of."""
    [organization] = world.rows(Organization)
    items = world.stripe.v1.invoice_items.list({"customer": organization.stripe_customer_id or ""}).data
    return sum(each.quantity for each in items if not each.proration)


def test_downgrade_sends_open_usage_before_it_removes_the_items(world: World, plus: ApiClient) -> None:
    send_usage(world, usage_event("e1", 30, occurred_at=soon()))
    plus.ok("DELETE", "/subscription")
    assert (counted_usage(world), billed_usage(world)) == (30, 30)


def test_downgrade_waits_until_stripe_takes_the_usage(world: World, plus: ApiClient) -> None:
    send_usage(world, usage_event("e1", 30, occurred_at=soon()))
    world.fault(kind="error_before", times=2, method="POST", path="/v2/billing/meter_events")
    change = plus.ok("DELETE", "/subscription")
    assert (change["state"], world.plan_row().plan) == ("processing", "plus")
    world.end_faults()
    finish_change(world.gateway, change["id"])
    assert (world.plan_row().plan, billed_usage(world)) == ("free", 30)
