"""Charges are calculated three days ahead, and the invoice is compared with them."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from gateway import catalog
from gateway.db.models import Subscription, UpcomingInvoice
from gateway.services.invoices.upcoming import GRACE, LEAD, calculate_charges
from gateway.services.usage.timeline import load_timelines
from tests.support.api import ApiClient
from tests.support.clock import StripeTime
from tests.support.metrics import scrape
from tests.support.world import World


@pytest.fixture
def catalog_file() -> Path:
    """Return the shipped catalogue, whose Plus bills usage."""
    return Path(catalog.__file__).parents[1] / "catalog.toml"


def test_charges_without_an_event_are_calculated_ahead(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="plus", quantity=2)
    world.settle()
    billing_date = world.plan_row().current_period_end
    assert billing_date is not None

    def calculate(before: timedelta) -> int:
        return calculate_charges(replace(world.gateway, clock=lambda: billing_date - before))

    assert [calculate(LEAD), calculate(LEAD - GRACE)] == [0, 1]
    world.work()
    shown = api.ok("GET", "/subscription")["upcoming_charges"]
    assert sum(each["amount"] for each in shown["lines"]) == shown["amount_due"] > 0


def test_year_is_billed_for_usage_each_month(world: World, api: ApiClient) -> None:
    api.ok("PATCH", "/subscription", plan="plus", interval="year")
    world.settle()
    [subscription] = world.rows(Subscription)
    billing_date = min(datetime.fromisoformat(each["current_period_end"]) for each in subscription.items)
    assert calculate_charges(replace(world.gateway, clock=lambda: billing_date - LEAD + GRACE)) == 1
    estimate = api.ok("GET", "/usage/estimate")["estimate"]
    assert datetime.fromisoformat(estimate["billing_date"]) == billing_date
    timeline = load_timelines(world.gateway, ["org_1"], world.gateway.clock())["org_1"]
    assert timeline.find_start(billing_date) == billing_date  # no report adds up usage of two months


def test_charges_announced_too_early_are_calculated_again(
    world: World, api: ApiClient, stripe_time: StripeTime
) -> None:
    api.ok("PATCH", "/subscription", plan="plus", quantity=2)
    world.settle()
    end = world.plan_row().current_period_end
    assert end is not None
    [subscription] = world.rows(Subscription)
    stripe_time.ahead = (end - world.gateway.clock() - timedelta(days=2)).total_seconds()
    world.stripe.v1.subscriptions.retrieve(subscription.id)
    world.settle()
    later = replace(world.gateway, clock=lambda: end - timedelta(days=2))
    assert calculate_charges(later) == 0
    with world.gateway.database.transaction() as session:
        session.execute(update(UpcomingInvoice).values(as_of=end - timedelta(days=7)))
    assert calculate_charges(later) == 1


def test_invoice_is_compared_with_the_calculated_charges(world: World, api: ApiClient, stripe_time: StripeTime) -> None:
    api.ok("PATCH", "/subscription", plan="plus", quantity=2)
    [subscription] = world.rows(Subscription)
    customer = world.stripe.v1.subscriptions.retrieve(subscription.id).customer
    end = world.plan_row().current_period_end
    assert end is not None
    now = world.gateway.clock()
    stripe_time.ahead = (end - now - timedelta(days=2)).total_seconds()
    world.stripe.v1.subscriptions.retrieve(subscription.id)
    world.settle()
    [calculated] = world.rows(UpcomingInvoice)
    assert (calculated.billing_date, len(calculated.lines or [])) == (end, 4)
    payload = {"stripe_customer_id": str(customer), "value": "1000000"}
    world.stripe.v1.billing.meter_events.create({"event_name": "konnect_api_calls", "payload": payload})
    stripe_time.ahead += timedelta(days=3).total_seconds()
    world.stripe.v1.subscriptions.retrieve(subscription.id)
    world.settle()
    newest = api.ok("GET", "/invoices?limit=1")["data"][0]["id"]
    invoice = api.ok("GET", f"/invoices/{newest}")
    usage = invoice["amount_due"] - calculated.amount_due
    assert usage > 0
    assert invoice["calculated_due"] == calculated.amount_due
    assert invoice["differences"] == [{"cause": "usage", "amount": usage}]
    assert [each["kind"] for each in invoice["lines"]].count("usage") == 2
    assert scrape(world.gateway)['gateway_invoices_differing{cause="usage"}'] == 1
