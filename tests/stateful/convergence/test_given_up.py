"""Grace ends when Stripe gives up the invoice, whether its events arrive first, last or never."""

from dataclasses import replace
from itertools import groupby

import pytest
import requests
from sqlalchemy import text

from gateway.services.plan_changes.request import change_plan
from gateway.services.reconciliation import drift
from gateway.services.reconciliation.differences import Difference, Resolution
from schemas.changes import ChangeCommand
from tests.stateful.convergence.expected import Expected
from tests.stateful.convergence.found import check_tables
from tests.stateful.convergence.stepped_gateway import SteppedGateway, pass_on
from tests.support.clock import DAY
from tests.support.json_types import Json


def given_up(stage: SteppedGateway, after_retries: str = "past_due") -> list[Json]:
    """Return the events from the first payment until Stripe's last attempt to charge the card."""
    wanted = {"retry_days": [1], "after_retries": after_retries}
    requests.post(f"{stage.sandbox.url}/_sandbox/settings", json=wanted, timeout=5).raise_for_status()
    change_plan(stage.gateway, stage.caller("org_1"), ChangeCommand(plan="free", enroll=True))
    [customer] = stage.read("/v1/customers")
    stage.account.give_card(customer["id"], "pm_card_chargeCustomerFail")
    pass_on(stage)
    change_plan(stage.gateway, stage.caller("org_1"), ChangeCommand(plan="plus"))
    for days in (31, 2):
        stage.wait(days * DAY)
    return stage.hear()


def check(stage: SteppedGateway) -> None:
    """Check that the plan is suspended, as at Stripe."""
    expected = Expected(stage)
    assert expected.tables["organization_plans"]["org_1"]["standing"] == "suspended"
    check_tables(stage, expected, {"organization_plans": expected.tables["organization_plans"]})


@pytest.mark.parametrize("last", ["invoice", "subscription"])
def test_grace_ends_when_invoice_or_subscription_arrives_last(stage: SteppedGateway, last: str) -> None:
    events = sorted(given_up(stage), key=lambda event: event["data"]["object"]["object"] == last)
    for _, batch in groupby(events, lambda event: event["data"]["object"]["object"] == last):
        for event in batch:
            stage.deliver(event)
        stage.drain()
    stage.run_due_jobs()
    check(stage)


def walked(stage: SteppedGateway, *, dry_run: bool = False) -> list[Difference]:
    return [each for page in drift.walk(stage.gateway, dry_run=dry_run) for each in page.differences]


@pytest.mark.parametrize("lost", [2, 100], ids=["the invoice's last events", "all its events"])
def test_the_drift_walk_ends_grace_without_invoice_events(stage: SteppedGateway, lost: int) -> None:
    events = given_up(stage)
    about_invoices = [event["id"] for event in events if event["type"].startswith("invoice.")]
    for event in events:
        if event["id"] not in about_invoices[-lost:]:
            stage.deliver(event)
    stage.drain()
    for job in stage.due():  # a refresh of the third state of a second would find the rest
        stage.end_job(job)
    stage.wait(60)
    [dry] = walked(stage, dry_run=True)
    assert (dry.kind, dry.cause, dry.resolution) == ("invoice", "missed_event", "would_heal")
    [found] = walked(stage)
    assert found == replace(dry, resolution=Resolution.HEALED)
    check(stage)
    assert walked(stage) == []


def test_the_drift_walk_makes_up_for_a_lost_lookup(stage: SteppedGateway) -> None:
    for event in given_up(stage):
        stage.deliver(event)
    stage.drain()
    for job in stage.due():
        stage.end_job(job)
    stage.wait(60)
    [found] = walked(stage)
    assert (found.kind, found.resolution) == ("invoice", Resolution.HEALED)
    assert found.fields == {"payment_under_way": (None, False)}
    check(stage)
    assert walked(stage) == []


def test_the_drift_walk_looks_up_only_decisive_unpaid_invoices(stage: SteppedGateway) -> None:
    for event in given_up(stage):
        stage.deliver(event)
    stage.drain()
    stage.run_due_jobs()
    with stage.gateway.database.transaction() as session:  # Stripe makes new links for each answer
        session.execute(text("UPDATE invoices SET invoice_pdf = 'https://example.test/another'"))
    *_, last = drift.walk(stage.gateway)
    assert last.progress.counts == {
        "customers": 1,
        "subscriptions": 1,
        "open_invoices": 1,
        "open_payments": 1,
        "plan_table": 1,
    }
    [subscription] = stage.read("/v1/subscriptions")
    stage.account.v1.invoices.void_invoice(subscription["latest_invoice"])
    pass_on(stage)
    *_, last = drift.walk(stage.gateway)
    assert last.progress.counts["unpaid_invoices"] == 0


@pytest.mark.parametrize("status", ["unpaid", "canceled"])
def test_the_drift_walk_finds_nothing_where_the_status_decides(stage: SteppedGateway, status: str) -> None:
    for event in given_up(stage, status):
        stage.deliver(event)
    stage.drain()
    stage.run_due_jobs()
    assert walked(stage) == []


def test_the_drift_walk_finds_nothing_beside_the_current_subscription(stage: SteppedGateway) -> None:
    for event in given_up(stage):
        stage.deliver(event)
    v1, [customer] = stage.account.v1, stage.read("/v1/customers")
    product = v1.products.create({"name": "Workshop"})
    price = v1.prices.create(
        {"product": product.id, "currency": "usd", "unit_amount": 900, "recurring": {"interval": "month"}}
    )
    v1.subscriptions.create({"customer": customer["id"], "items": [{"price": price.id}], "trial_period_days": 1})
    stage.wait(2 * DAY)
    stage.wait(2 * DAY)
    pass_on(stage)
    stage.run_due_jobs()
    assert {each["status"] for each in stage.read("/v1/subscriptions")} == {"past_due"}
    given = [each for each in stage.read("/v1/invoices", status="open") if each["next_payment_attempt"] is None]
    assert len({each["parent"]["subscription_details"]["subscription"] for each in given if each["attempted"]}) == 2
    assert walked(stage) == []


def test_the_drift_walk_finds_a_bank_debit_that_began_or_ended(stage: SteppedGateway) -> None:
    for event in given_up(stage):
        stage.deliver(event)
    stage.drain()
    stage.run_due_jobs()
    check(stage)
    [subscription] = stage.read("/v1/subscriptions")
    v1, invoice = stage.account.v1, subscription["latest_invoice"]
    account = v1.payment_methods.attach("pm_usBankAccount_insufficientFunds", {"customer": subscription["customer"]})
    v1.invoices.pay(invoice, {"payment_method": account.id})
    stage.wait(60)  # no event arrives
    [began] = [each for each in walked(stage) if each.kind == "invoice"]
    assert (began.fields["payment_under_way"], began.resolution) == ((False, True), Resolution.HEALED)
    stage.wait(8 * DAY)
    [ended] = [each for each in walked(stage) if each.kind == "invoice"]
    assert (ended.fields["payment_under_way"], ended.resolution) == ((True, False), Resolution.HEALED)
    check(stage)
