"""A change after Stripe has begun the next period, whose webhooks the gateway has not merged yet."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import stripe

from gateway.db import jobs
from gateway.db.models import Subscription
from gateway.services.plan_changes.request import change_plan
from schemas.changes import ChangeCommand
from tests.support.api import ApiClient
from tests.support.catalogs import write_catalog
from tests.support.clock import StripeTime
from tests.support.jobs import make_due
from tests.support.world import CALLER, World


@pytest.fixture
def catalog_file(tmp_path: Path) -> Path:
    return write_catalog(tmp_path / "catalog.toml", trial_days=30)


def renew(world: World, stripe_time: StripeTime, hours: float) -> stripe.Subscription:
    """Let time pass until some hours after the end of the period. The webhooks stay in the inbox."""
    [row] = world.rows(Subscription)
    end = min(datetime.fromisoformat(each["current_period_end"]) for each in row.items)
    stripe_time.ahead = end.timestamp() - time.time() + hours * 3600
    renewed = world.stripe.v1.subscriptions.retrieve(row.id)
    world.await_deliveries()
    return renewed


def cancel(world: World, stripe_time: StripeTime) -> None:
    """Cancel the plan at Stripe's time, and do the jobs that follow."""
    gateway = replace(world.gateway, clock=lambda: datetime.fromtimestamp(stripe_time(), UTC))
    assert change_plan(gateway, CALLER, ChangeCommand(plan="free")).state == "applied"
    world.settle()


def pending(world: World) -> list[int]:
    items: Any = world.stripe.v1.invoice_items.list({"pending": True, "limit": 100}).data
    return [item.amount for item in items]


def test_cancel_plan_after_the_end_of_a_trial_credits_the_paid_month(world: World, stripe_time: StripeTime) -> None:
    api = world.api()
    api.ok("POST", "/subscription")
    api.add_card(world.stripe)
    world.settle()
    assert api.ok("GET", "/subscription")["status"] == "trialing"
    renew(world, stripe_time, hours=3)
    cancel(world, stripe_time)
    [credit] = pending(world)
    assert -25000 < credit < -24000


@pytest.mark.parametrize("hours", [0.3, 3], ids=["draft", "declined"])
def test_cancel_plan_after_a_renewal_credits_no_unpaid_time(
    world: World, api: ApiClient, stripe_time: StripeTime, hours: float
) -> None:
    api.ok("PATCH", "/subscription", plan="plus")
    api.add_card(world.stripe, "pm_card_chargeCustomerFail")
    world.settle()
    renewed = renew(world, stripe_time, hours)
    cancel(world, stripe_time)
    stripe_time.ahead += 3 * 3600
    world.stripe.v1.subscriptions.retrieve(renewed.id)
    world.settle()
    for each in (jobs.WITHDRAW_CREDITS, jobs.WITHDRAW_FOREIGN_CREDITS):
        make_due(world, each)
    world.settle()
    assert sum(pending(world)) == 0
    invoice = world.stripe.v1.invoices.retrieve(str(renewed.latest_invoice))
    assert (invoice.status, invoice.total - invoice.amount_remaining > 24000) == ("open", True)
