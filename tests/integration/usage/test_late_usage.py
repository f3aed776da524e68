"""Usage that arrives after its period was invoiced is billed once, with the next invoice."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
from sqlalchemy import text, update

from gateway.db.models import Invoice, Plan, Subscription, UsageReport
from gateway.services.plan_changes.execute import finish_change
from gateway.services.plan_changes.final_usage import LONGEST_WAIT
from gateway.services.runtime import Gateway
from gateway.services.usage.claim import claim_reports
from gateway.services.usage.record import SEALED_AFTER, record_usage
from gateway.services.usage.report_to_stripe import send_due_reports, send_report
from schemas.usage import SentEvent
from tests.support.api import ApiClient
from tests.support.clock import StripeTime
from tests.support.database import write_freely
from tests.support.world import World

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def period_end(world: World, plus: ApiClient) -> datetime:
    """Return the end of the first period of an organization that is on Plus. In our history it is so for a day."""
    with world.gateway.database.transaction() as session:
        write_freely(session)
        session.execute(text("UPDATE plan_history SET recorded_at = recorded_at - interval '1 day'"))
    assert plus.ok("GET", "/subscription")["plan"] == "plus"
    end = world.plan_row().current_period_end
    assert end is not None
    return end


def pass_time(world: World, stripe_time: StripeTime, until: datetime) -> Gateway:
    """Let Stripe live until a moment and the gateway learn of it. Return the gateway with that time."""
    stripe_time.ahead = (until - datetime.now(UTC)).total_seconds()
    world.settle()
    return replace(world.gateway, clock=lambda: until)


def use(gateway: Gateway, quantity: int, occurred_at: datetime) -> None:
    event = SentEvent(f"at {occurred_at}", "org_1", "api_calls", quantity, occurred_at.replace(microsecond=0))
    assert record_usage(gateway, [event]).new == [event.id]


def report_later(gateway: Gateway) -> None:
    later = gateway.clock() + SEALED_AFTER
    send_due_reports(replace(gateway, clock=lambda: later), Event())


def billed_calls(world: World, stripe_time: StripeTime, until: datetime) -> list[int]:
    """Let time pass, and return the API calls on each invoice of a renewal."""
    pass_time(world, stripe_time, until)
    invoices = sorted(world.rows(Invoice), key=lambda each: each.created)
    lines = [line for each in invoices for line in each.lines or [] if line["kind"] == "usage"]
    return [line["quantity"] for line in lines if "API calls" in line["description"]]


def billed_items(world: World) -> list[int]:
    """Return the amounts of the invoice items that bill usage."""
    return [each.amount for each in world.stripe.v1.invoice_items.list().data if not each.proration]


def test_usage_of_an_invoiced_month_counts_in_the_next(
    world: World, period_end: datetime, stripe_time: StripeTime
) -> None:
    gateway = pass_time(world, stripe_time, period_end + 2 * HOUR)
    use(gateway, 30, period_end - 2 * DAY)
    report_later(gateway)
    [report] = world.rows(UsageReport)
    assert (report.state, report.counts_at) == ("sent", (gateway.clock() + SEALED_AFTER).replace(microsecond=0))
    assert billed_calls(world, stripe_time, period_end + 32 * DAY) == [0, 30]


def test_late_usage_is_billed_beside_a_plan_without_meters(
    world: World, period_end: datetime, stripe_time: StripeTime
) -> None:
    [metered] = world.rows(Subscription)
    [enterprise] = [each for each in world.rows(Plan) if each.key == "enterprise"]
    v1 = world.stripe.v1
    price = v1.prices.create(
        {
            "product": enterprise.product_id,
            "currency": "usd",
            "unit_amount": 90_000,
            "recurring": {"interval": "month"},
        }
    )
    v1.subscriptions.create(
        {"customer": str(v1.subscriptions.retrieve(metered.id).customer), "items": [{"price": price.id}]}
    )
    gateway = pass_time(world, stripe_time, period_end + 2 * HOUR)
    assert world.plan_row().requested_plan == "enterprise"
    use(gateway, 30, period_end - 2 * DAY)
    report_later(gateway)
    assert billed_calls(world, stripe_time, period_end + 32 * DAY) == [0, 30]


def test_usage_counts_in_its_month_while_the_invoice_is_a_draft(
    world: World, period_end: datetime, stripe_time: StripeTime
) -> None:
    gateway = pass_time(world, stripe_time, period_end + HOUR / 4)
    use(gateway, 30, period_end - 2 * DAY)
    report_later(gateway)
    assert billed_calls(world, stripe_time, period_end + 32 * DAY) == [30, 0]


@pytest.mark.parametrize("later", [2 * HOUR, 2 * DAY], ids=["identifier known", "identifier forgotten"])
def test_report_whose_sender_was_killed_is_not_counted_again(
    world: World, period_end: datetime, stripe_time: StripeTime, later: timedelta
) -> None:
    gateway = pass_time(world, stripe_time, period_end - HOUR)
    use(gateway, 30, period_end - HOUR)
    [claimed] = claim_reports(gateway, "org_1")
    assert send_report(gateway, claimed).state == "sent"
    gateway = pass_time(world, stripe_time, period_end + later)
    report_later(gateway)
    [report] = world.rows(UsageReport)
    assert (report.state, report.moved_to) == ("sent", None)  # so that a downgrade does not bill it either
    assert billed_calls(world, stripe_time, period_end + 32 * DAY) == [30, 0]


def test_report_waits_while_stripe_shows_no_summaries(
    world: World, period_end: datetime, stripe_time: StripeTime, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = pass_time(world, stripe_time, period_end - HOUR)
    use(gateway, 30, period_end - HOUR)
    [claimed] = claim_reports(gateway, "org_1")
    assert send_report(gateway, claimed).state == "sent"
    gateway = pass_time(world, stripe_time, period_end + 2 * HOUR)
    world.fault("error_before", path="/v1/billing/meters/*/event_summaries", times=2)
    report_later(gateway)
    [report] = world.rows(UsageReport)
    assert (report.state, report.uncertain_since is not None) == ("sending", True)
    assert "usage_not_sent" not in caplog.text  # which reports an error of ours
    report_later(pass_time(world, stripe_time, period_end + 3 * HOUR))
    assert [each.state for each in world.rows(UsageReport)] == ["sent"]


def test_usage_of_a_trial_stays_free(world: World, period_end: datetime, stripe_time: StripeTime) -> None:
    gateway = pass_time(world, stripe_time, period_end + 2 * HOUR)
    world.gateway.database.execute(update(Subscription).values(trial_end=period_end))
    use(gateway, 30, period_end - 2 * DAY)
    report_later(gateway)
    assert [each.moved_to for each in world.rows(UsageReport)] == [None]


@pytest.mark.usefixtures("period_end")
def test_usage_of_an_earlier_period_is_billed_after_the_plan_was_left(world: World, plus: ApiClient) -> None:
    plus.ok("DELETE", "/subscription")
    use(world.gateway, 30, datetime.now(UTC) - HOUR)  # before the present period
    report_later(world.gateway)
    world.work()
    assert billed_items(world) == [60]


@pytest.mark.parametrize("later", [2 * HOUR, 2 * DAY], ids=["identifier known", "identifier forgotten"])
@pytest.mark.parametrize(("fault", "state", "owed"), [("error_after", "sent", []), ("error_before", "invoiced", [60])])
def test_uncertain_report_of_a_left_plan_is_billed_once(
    world: World,
    plus: ApiClient,
    period_end: datetime,
    stripe_time: StripeTime,
    later: timedelta,
    fault: str,
    state: str,
    owed: list[int],
) -> None:
    meter_events = {"method": "POST", "path": "/v2/billing/meter_events"}
    gateway = pass_time(world, stripe_time, period_end - HOUR)
    use(gateway, 30, period_end - HOUR)
    world.fault(kind=fault, times=2, **meter_events)
    report_later(gateway)
    pass_time(world, stripe_time, period_end + 2 * HOUR)
    world.fault(kind="error_before", times=10, **meter_events)
    change = plus.ok("DELETE", "/subscription")
    too_late = world.gateway.clock() + LONGEST_WAIT
    finish_change(replace(world.gateway, clock=lambda: too_late), change["id"])
    world.end_faults()
    world.work()
    assert (world.plan_row().requested_plan, billed_items(world)) == ("free", [])
    report_later(pass_time(world, stripe_time, period_end + HOUR + later))
    world.work()
    assert ([each.state for each in world.rows(UsageReport)], billed_items(world)) == ([state], owed)
