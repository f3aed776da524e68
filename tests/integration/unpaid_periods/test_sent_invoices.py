"""A subscription that is paid by invoice: what an invoice that Stripe sent means before and after its due date."""

from datetime import timedelta

import pytest

from gateway.db import jobs
from gateway.db.models import PlanChange
from tests.support.accounts import make_customer, subscribe
from tests.support.api import ApiClient
from tests.support.clock import StripeTime
from tests.support.jobs import make_due
from tests.support.payment_methods import customer_of
from tests.support.world import World


@pytest.mark.parametrize(
    ("token", "after"), [("pm_usBankAccount", "good"), ("pm_usBankAccount_insufficientFunds", "grace")]
)
def test_debit_of_an_overdue_invoice_is_no_debt(
    world: World, api: ApiClient, stripe_time: StripeTime, token: str, after: str
) -> None:
    customer = customer_of(world)
    sold = subscribe(world, customer, "plus", collection_method="send_invoice", days_until_due=1)
    invoice = str(world.stripe.v1.subscriptions.retrieve(sold).latest_invoice)
    world.stripe.v1.invoices.finalize_invoice(invoice)
    method = world.stripe.v1.payment_methods.attach(token, {"customer": customer}).id
    standings: list[str] = []
    for days in (2, 2, 10):
        stripe_time.ahead = timedelta(days=days).total_seconds()
        if standings:
            pay_once(world, invoice, method)
        world.stripe.v1.subscriptions.retrieve(sold)
        world.settle()
        standings.append(api.ok("GET", "/subscription")["standing"])
    assert standings == ["grace", "good", after]


def pay_once(world: World, invoice: str, method: str) -> None:
    """Begin to pay the invoice, unless it was tried before."""
    if not world.stripe.v1.invoices.retrieve(invoice).attempted:
        world.stripe.v1.invoices.pay(invoice, {"payment_method": method})


@pytest.fixture
def sent(world: World, stripe_time: StripeTime) -> str:
    """Put an organization on one unit of Plus that it pays by invoice within 30 days. Return the open invoice."""
    sold = subscribe(world, make_customer(world, "org_1"), "plus", collection_method="send_invoice", days_until_due=30)
    go_to(world, stripe_time, sold, days=0.1)
    invoice = str(world.stripe.v1.subscriptions.retrieve(sold).latest_invoice)
    assert world.stripe.v1.invoices.retrieve(invoice).status == "open"
    return invoice


def go_to(world: World, stripe_time: StripeTime, subscription: str, *, days: float) -> None:
    """Let Stripe's clock run ahead, and do what follows."""
    stripe_time.ahead = timedelta(days=days).total_seconds()
    world.stripe.v1.subscriptions.retrieve(subscription)
    world.settle()


def test_increase_does_not_wait_for_an_invoice_that_is_not_due(world: World, sent: str) -> None:
    details = world.api().ok("GET", "/subscription")
    assert (details["standing"], details["payment_problem"]) == ("good", None)
    quote = world.api().ok("POST", "/subscription/preview", quantity=5)
    world.api().ok("PATCH", "/subscription", quote=quote["token"])
    make_due(world, jobs.WITHDRAW_CREDITS)
    world.settle()
    [change] = world.rows(PlanChange)
    assert (change.state, change.charged) == ("applied", change.quoted)
    invoice = world.stripe.v1.invoices.retrieve(sent)
    assert (quote["credit"], quote["amount_unpaid"]) == (0, invoice.amount_remaining)
    upcoming = world.stripe.v1.invoices.create_preview({"subscription": world.plan_row().subscription_id or ""})
    assert quote["amount_due_on_billing_date"] == upcoming.amount_due
    assert invoice.amount_remaining < 25000 < upcoming.amount_due - 5 * 25000


def test_increase_waits_for_an_overdue_invoice(world: World, stripe_time: StripeTime, sent: str) -> None:
    go_to(world, stripe_time, world.plan_row().subscription_id or "", days=30.5)
    problem = world.api().ok("GET", "/subscription")["payment_problem"]
    assert (problem["reason"], problem["invoice"]) == ("overdue", sent)
    assert world.api().problem("PATCH", "/subscription", quantity=5) == (402, "unpaid_invoice")
    world.fault("webhook_dropped", event="*", times=100)
    world.stripe.v1.invoices.pay(sent, {"paid_out_of_band": True})
    assert world.api().ok("PATCH", "/subscription", quantity=5)["state"] == "applied"


def test_increase_waits_for_a_written_off_invoice(world: World, sent: str) -> None:
    world.stripe.v1.invoices.mark_uncollectible(sent)
    world.settle()
    assert world.api().problem("PATCH", "/subscription", quantity=5) == (402, "unpaid_invoice")
