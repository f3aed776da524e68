"""A downgrade bills all usage once. The plan ends immediately, also while Stripe still counts."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe
from sqlalchemy import text

from gateway.db.models import PlanChange, UsageReport
from gateway.errors import StripeRejected, StripeUnavailable
from gateway.services.mirror.refresh import refresh
from gateway.services.plan_changes import admission
from gateway.services.plan_changes.execute import end_change, finish_change
from gateway.services.plan_changes.final_usage import LONGEST_WAIT
from gateway.services.plan_changes.unbilled_usage import bill_unbilled_usage
from gateway.services.rate_limits.table import CHANGES
from gateway.services.runtime import Gateway
from gateway.services.usage import report_to_stripe
from gateway.services.usage.record import SEALED_AFTER, record_usage
from gateway.stripe_api import gate
from schemas.usage import SentEvent
from tests.support.api import ApiClient
from tests.support.database import write_freely
from tests.support.json_types import Json
from tests.support.metrics import scrape
from tests.support.other_terms import at_stripe, change_at_stripe, leave_at_stripe
from tests.support.payment_methods import customer_of
from tests.support.usage import counted_usage, report_usage, send_usage, usage_event
from tests.support.wait import eventually
from tests.support.world import World

CENTS_PER_CALL = 2


@pytest.fixture
def plus(world: World, plus: ApiClient) -> ApiClient:
    """Return a client for an organization that has been on Plus for an hour, according to our history."""
    with world.gateway.database.transaction() as session:
        write_freely(session)
        session.execute(text("UPDATE plan_history SET recorded_at = recorded_at - interval '1 hour'"))
    return plus


def leave_a_second_later(world: World) -> None:
    """Let the plan end in the next second, according to our history. The present one then belongs to the plan."""
    with world.gateway.database.transaction() as session:
        write_freely(session)
        session.execute(
            text(
                "UPDATE plan_history SET recorded_at = recorded_at + interval '1 second'"
                " WHERE version > (SELECT min(version) FROM plan_history WHERE after ->> 'plan' = 'plus')"
            )
        )


def list_usage(world: World) -> list[stripe.InvoiceItem]:
    """Return the invoice items that bill usage, those of Stripe and ours."""
    items = world.stripe.v1.invoice_items.list({"customer": customer_of(world)}).data
    return [each for each in items if not each.proration]


def billed_calls(world: World) -> int:
    return sum(each.amount for each in list_usage(world)) // CENTS_PER_CALL


def at(world: World, after: timedelta) -> Gateway:
    """Return the gateway with a clock that is so far ahead."""
    later = datetime.now(UTC) + after
    return replace(world.gateway, clock=lambda: later)


def finish(world: World, change: Json, *, after: timedelta = timedelta(0)) -> str:
    """Run the completion job so much later, and return the state of the change."""
    finish_change(at(world, after), change["id"])
    return get_change(world, change).state


def get_change(world: World, change: Json) -> PlanChange:
    return next(each for each in world.rows(PlanChange) if each.id == change["id"])


def leave_while_stripe_counts(world: World, plus: ApiClient) -> Json:
    """Send 30 calls that Stripe does not count yet, cancel the plan, and return the change."""
    world.set_at_stripe(usage_lag=3600)
    send_usage(world, usage_event("e1", 30))
    return plus.ok("DELETE", "/subscription")


def test_downgrade_sends_open_usage_before_it_removes_the_items(world: World, plus: ApiClient) -> None:
    send_usage(world, usage_event("e1", 30))
    plus.ok("DELETE", "/subscription")
    assert (counted_usage(world), billed_calls(world)) == (30, 30)


def test_downgrade_waits_until_stripe_takes_the_usage(world: World, plus: ApiClient) -> None:
    send_usage(world, usage_event("e1", 30))
    world.fault(kind="error_before", times=2, method="POST", path="/v2/billing/meter_events")
    change = plus.ok("DELETE", "/subscription")
    assert (change["state"], world.plan_row().plan) == ("processing", "free")
    world.end_faults()
    assert (finish(world, change), billed_calls(world)) == ("applied", 30)


def test_plan_ends_immediately_while_stripe_counts(world: World, plus: ApiClient) -> None:
    change = leave_while_stripe_counts(world, plus)
    details = plus.ok("GET", "/subscription")
    assert (details["plan"], details["requested_plan"], details["pending_change"]["id"]) == (
        "free",
        "plus",
        change["id"],
    )
    assert plus.problem("PATCH", "/subscription", plan="plus", quantity=2) == (409, "change_in_progress")
    send_usage(world, usage_event("e2", 5, occurred_at=(datetime.now(UTC) + timedelta(seconds=1)).isoformat()))
    [*_, during] = sorted(world.rows(UsageReport), key=lambda each: each.occurred_at)
    assert during.state == "not_billed"
    refresh(world.gateway, "subscription", world.plan_row().subscription_id or "")
    assert (finish(world, change), world.plan_row().plan) == ("processing", "free")
    world.set_at_stripe(usage_lag=0)
    assert (finish(world, change), billed_calls(world)) == ("applied", 30)
    row = world.plan_row()
    assert (row.plan, row.requested_plan, row.leaving) == ("free", "free", False)


def test_long_backlog_of_usage_does_not_hold_a_completion_job(
    world: World, plus: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_usage(world, usage_event("e1", 30))
    with monkeypatch.context() as slow:
        slow.setattr(report_to_stripe, "LONGEST_RUN", 0)
        change = plus.ok("DELETE", "/subscription")
        assert (change["state"], counted_usage(world)) == ("processing", 0)
    assert (finish(world, change), billed_calls(world)) == ("applied", 30)


def test_downgrade_begins_no_report_without_time_for_it(
    world: World, plus: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_usage(world, usage_event("e1", 30))
    refused = 'gateway_stripe_calls_refused_total{reason="deadline"}'
    before = scrape(world.gateway).get(refused)
    with monkeypatch.context() as slow:
        slow.setattr(gate, "PERSON_WAITS", gate.SHORTEST_CALL / 2)
        change = plus.ok("DELETE", "/subscription")
    assert (change["state"], scrape(world.gateway).get(refused)) == ("processing", before)
    assert (finish(world, change), billed_calls(world)) == ("applied", 30)


@pytest.mark.parametrize("path", ["/v2/billing/meter_events", "/v1/billing/meters"])
def test_hung_meter_does_not_prolong_the_plan(world: World, plus: ApiClient, path: str) -> None:
    send_usage(world, usage_event("e1", 30))
    world.fault(kind="delay", path=path, seconds=60)
    with ThreadPoolExecutor(1) as pool:
        request = pool.submit(plus.ok, "DELETE", "/subscription")
        eventually(lambda: world.faults()[0]["fired"] == 1)
        assert (world.plan_row().plan, request.done()) == ("free", False)
        world.end_faults()
        assert (request.result()["state"], billed_calls(world)) == ("applied", 30)


def test_uncounted_usage_becomes_an_invoice_item(world: World, plus: ApiClient) -> None:
    change = leave_while_stripe_counts(world, plus)
    assert (finish(world, change, after=LONGEST_WAIT), billed_calls(world)) == ("applied", 0)
    world.work()
    assert billed_calls(world) == 30
    bill_unbilled_usage(world.gateway, change["id"])
    assert billed_calls(world) == 30


def test_usage_that_arrives_after_the_downgrade_is_billed_once(world: World, plus: ApiClient) -> None:
    event = SentEvent("e1", "org_1", "api_calls", 10, datetime.now(UTC).replace(microsecond=0))
    record_usage(world.gateway, [event])
    plus.ok("DELETE", "/subscription")
    leave_a_second_later(world)
    for after in (timedelta(minutes=5), timedelta(minutes=10)):
        record_usage(at(world, after), [event._replace(id=f"after {after}")])
        report_usage(world, after=after + SEALED_AFTER)
        world.work()
    assert [each.state for each in world.rows(UsageReport)].count("invoiced") == 2
    assert (counted_usage(world), billed_calls(world), len(list_usage(world))) == (10, 30, 2)


def test_usage_at_an_earlier_price_stays_billed_at_it(world: World, plus: ApiClient) -> None:
    send_usage(world, usage_event("e1", 30))
    report_usage(world)
    [calls] = [each for each in at_stripe(world)["items"].data if each.price.unit_amount == CENTS_PER_CALL]
    recurring: Any = {"interval": "month", "usage_type": "metered", "meter": calls.price.recurring.meter}
    dearer: Any = {"product": calls.price.product, "currency": "usd", "unit_amount": 5, "recurring": recurring}
    change_at_stripe(world, items=[{"id": calls.id, "price": world.stripe.v1.prices.create(dearer).id}])
    world.set_at_stripe(usage_lag=3600)
    send_usage(world, usage_event("e2", 10, occurred_at=(datetime.now(UTC) + timedelta(seconds=1)).isoformat()))
    finish(world, plus.ok("DELETE", "/subscription"), after=LONGEST_WAIT)
    world.work()
    assert sorted(each.amount for each in list_usage(world)) == [50, 60]


def test_moves_to_free_in_the_dashboard_use_up_no_changes(
    world: World, plus: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = len(world.rows(PlanChange))
    monkeypatch.setattr(admission, "CHANGES", replace(CHANGES, amount=counted + 1))
    leave_at_stripe(world)
    assert [each.actor for each in world.rows(PlanChange)].count("stripe") == 1
    assert plus.ok("PATCH", "/subscription", plan="plus")["state"] == "applied"
    assert plus.problem("DELETE", "/subscription") == (429, "rate_limited")


def test_late_usage_is_billed_if_stripe_makes_an_abandoned_downgrade(world: World, plus: ApiClient) -> None:
    send_usage(world, usage_event("e1", 30))
    event = SentEvent("e2", "org_1", "api_calls", 10, datetime.now(UTC).replace(microsecond=0))
    world.fault(kind="response_lost", method="POST", path="/v1/subscriptions/*", times=100)
    world.fault(kind="error_before", method="GET", path="/v1/subscriptions/*", times=100)
    assert plus("DELETE", "/subscription").status_code == 202
    [change] = [each for each in world.rows(PlanChange) if each.state == "processing"]
    end_change(world.gateway, change.id, "abandoned", StripeUnavailable("No answer."))
    assert world.plan_row().plan == "plus"
    world.end_faults()
    world.settle()
    assert world.plan_row().plan == "free"
    leave_a_second_later(world)
    record_usage(at(world, timedelta(minutes=5)), [event])
    report_usage(world, after=timedelta(minutes=5) + SEALED_AFTER)
    world.work()
    assert billed_calls(world) == 40


def test_plan_returns_if_stripe_refuses_the_downgrade(world: World, plus: ApiClient) -> None:
    change = leave_while_stripe_counts(world, plus)
    end_change(world.gateway, change["id"], "failed", StripeRejected("No."))
    row = world.plan_row()
    assert (row.plan, row.leaving, get_change(world, change).state) == ("plus", False, "failed")


def test_usage_of_a_plan_left_in_the_dashboard_is_billed_once(world: World, plus: ApiClient) -> None:
    send_usage(world, usage_event("e1", 30))
    report_usage(world)
    event = SentEvent("e2", "org_1", "api_calls", 10, datetime.now(UTC).replace(microsecond=0))
    record_usage(at(world, timedelta(minutes=5)), [event])
    leave_at_stripe(world)
    assert (plus.ok("GET", "/subscription")["plan"], billed_calls(world)) == ("free", 30)
    [ended] = [each.ended_at for each in world.rows(PlanChange) if each.actor == "stripe"]
    assert ended is not None
    assert ended.microsecond == 0  # the time at Stripe. Ours may lie in the next period.
    report_usage(world, after=timedelta(minutes=5) + SEALED_AFTER)
    world.work()
    assert (sorted(each.state for each in world.rows(UsageReport)), billed_calls(world)) == (["invoiced", "sent"], 40)
