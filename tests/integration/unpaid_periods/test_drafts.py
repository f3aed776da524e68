"""A renewal is a draft for an hour. What a change credits of it counts only if it is paid."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from gateway.db import jobs
from gateway.db.models import Invoice, Subscription
from gateway.services.plan_changes.unpaid_credits import finish_withdrawal
from tests.integration.unpaid_periods.debtor import Debtor
from tests.support.api import ApiClient
from tests.support.billing_operations import job_count
from tests.support.clock import StripeTime
from tests.support.jobs import make_due
from tests.support.world import World

CARDS = ["pm_card_visa", "pm_card_chargeCustomerFail"]


def drafted(world: World, api: ApiClient, stripe_time: StripeTime, card: str) -> Debtor:
    """Return an organization on Plus whose renewal is a draft, and whose card pays or declines it."""
    api.ok("PATCH", "/subscription", plan="plus", quantity=3)
    api.add_card(world.stripe, card)
    [row] = world.rows(Subscription)
    period = world.stripe.v1.subscriptions.retrieve(row.id).items.data[0]
    stripe_time.ahead += period.current_period_end + 60 - stripe_time()
    customer = str(world.stripe.v1.subscriptions.retrieve(row.id).customer)
    world.settle()
    found = Debtor(world, api, stripe_time, row.id, customer)
    assert found.invoice().status == "draft"
    return found


@pytest.mark.parametrize("card", CARDS)
def test_credit_of_a_draft_stays_while_it_is_a_draft(
    world: World, api: ApiClient, stripe_time: StripeTime, card: str
) -> None:
    debtor = drafted(world, api, stripe_time, card)
    change_id = api.ok("DELETE", "/subscription")["id"]
    debtor.run_withdrawal(change_id)
    assert [amount < 0 for amount in debtor.pending()] == [True]


def test_credit_of_a_draft_that_is_paid_stays(world: World, api: ApiClient, stripe_time: StripeTime) -> None:
    debtor = drafted(world, api, stripe_time, "pm_card_visa")
    change_id = api.ok("DELETE", "/subscription")["id"]
    debtor.wait(days=timedelta(hours=2) / timedelta(days=1))
    debtor.run_withdrawal(change_id)
    assert debtor.invoice().status == "paid"
    assert ([amount < 0 for amount in debtor.pending()], debtor.credited()) == ([True], [])


def test_credit_of_a_draft_that_is_declined_is_withdrawn(world: World, api: ApiClient, stripe_time: StripeTime) -> None:
    debtor = drafted(world, api, stripe_time, "pm_card_chargeCustomerFail")
    change_id = api.ok("DELETE", "/subscription")["id"]
    debtor.wait(days=timedelta(hours=2) / timedelta(days=1))
    debtor.run_withdrawal(change_id)
    assert debtor.invoice().status == "open"
    [credit] = debtor.credited()
    assert sorted(debtor.pending()) == [-credit, credit]


@pytest.mark.parametrize("card", CARDS)
def test_the_end_of_a_draft_withdraws_without_the_job(
    world: World, api: ApiClient, stripe_time: StripeTime, card: str
) -> None:
    debtor = drafted(world, api, stripe_time, card)
    debtor.run_withdrawal(api.ok("DELETE", "/subscription")["id"])
    with world.gateway.database.transaction() as session:
        session.execute(text("DELETE FROM procrastinate_jobs WHERE task_name = :task"), {"task": jobs.WITHDRAW_CREDITS})
    debtor.wait(days=1)
    make_due(world, jobs.WITHDRAW_FOREIGN_CREDITS)
    world.settle()
    is_paid = card == "pm_card_visa"
    assert sorted(amount < 0 for amount in debtor.pending()) == ([True] if is_paid else [False, True])
    assert len(debtor.credited()) == (0 if is_paid else 1)
    assert not any(row.withdrawal_waits for row in world.rows(Invoice))


def test_draft_that_stays_is_looked_at_ever_less_often(world: World, api: ApiClient, stripe_time: StripeTime) -> None:
    debtor = drafted(world, api, stripe_time, "pm_card_visa")
    world.stripe.v1.invoices.update(debtor.renewal, {"auto_advance": False})
    change_id = api.ok("DELETE", "/subscription")["id"]
    later = world.gateway.clock() + timedelta(days=3)
    finish_withdrawal(replace(world.gateway, clock=lambda: later), change_id)
    query = text("SELECT max(scheduled_at) FROM procrastinate_jobs WHERE task_name = :task")
    [[looks_again]] = world.gateway.database.fetch(query, {"task": jobs.WITHDRAW_CREDITS})
    assert looks_again - later == pytest.approx(timedelta(days=3), abs=timedelta(minutes=1))


@pytest.mark.parametrize(("card", "notes"), [("pm_card_visa", 0), ("pm_card_chargeCustomerFail", 1)])
def test_dashboards_credit_of_a_draft_waits_without_a_job(
    world: World, api: ApiClient, stripe_time: StripeTime, card: str, notes: int
) -> None:
    debtor = drafted(world, api, stripe_time, card)
    [free] = world.stripe.v1.prices.list({"lookup_keys": ["konnect_free_usd_month"]}).data
    debtor.downgrade_in_dashboard(free.id)
    assert job_count(world, jobs.WITHDRAW_FOREIGN_CREDITS) == 0
    debtor.wait(days=1)
    make_due(world, jobs.WITHDRAW_FOREIGN_CREDITS)
    world.settle()
    assert len(debtor.credited()) == notes
    assert not any(row.withdrawal_waits for row in world.rows(Invoice))
