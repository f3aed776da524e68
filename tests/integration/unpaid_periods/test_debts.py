"""An unpaid invoice is a debt until it is paid or voided, also after it was written off."""

import logging
from collections.abc import Callable
from datetime import timedelta

import pytest

from gateway.db import jobs
from gateway.db.models import Subscription
from gateway.services.mirror.refresh import refresh
from tests.integration.unpaid_periods.debtor import Debtor

UNPAID = (402, "unpaid_invoice")
Renew = Callable[..., Debtor]


def test_written_off_invoice_blocks_an_increase(debtor: Debtor) -> None:
    debtor.write_off()
    assert debtor.details()["status"] == "active"
    assert debtor.api.problem("PATCH", "/subscription", quantity=4) == UNPAID


def test_written_off_invoice_blocks_an_upgrade(debtor: Debtor) -> None:
    debtor.api.ok("DELETE", "/subscription")
    debtor.write_off()
    assert debtor.api.problem("PATCH", "/subscription", plan="plus") == UNPAID


def test_voided_invoice_is_no_debt(debtor: Debtor) -> None:
    debtor.write_off()
    debtor.void()
    assert debtor.api.ok("PATCH", "/subscription", quantity=4)["state"] == "applied"


def test_written_off_invoice_can_be_paid(debtor: Debtor) -> None:
    debtor.write_off()
    debtor.pay()
    assert debtor.api.ok("PATCH", "/subscription", quantity=4)["state"] == "applied"


def owe_more(debtor: Debtor) -> str:
    """Let the organization owe an invoice that belongs to no subscription, and return its id."""
    v1 = debtor.world.stripe.v1
    invoice = v1.invoices.create({"customer": debtor.customer, "pending_invoice_items_behavior": "exclude"})
    v1.invoice_items.create({"customer": debtor.customer, "amount": 700, "currency": "usd", "invoice": invoice.id})
    v1.invoices.finalize_invoice(invoice.id, {"auto_advance": False})
    debtor.world.settle()
    return invoice.id


@pytest.mark.parametrize("is_paid", [False, True], ids=["the subscription's own", "another one"])
def test_debts_are_looked_up_until_one_is_still_unpaid(
    debtor: Debtor, caplog: pytest.LogCaptureFixture, *, is_paid: bool
) -> None:
    first, _ = sorted(owe_more(debtor) for _ in range(2))
    if is_paid:
        debtor.world.fault("webhook_dropped", event="*", times=100)
        debtor.world.stripe.v1.invoices.pay(debtor.renewal, {"paid_out_of_band": True})
    caplog.set_level(logging.INFO, "gateway.stripe_api.client")
    caplog.clear()
    assert debtor.api.problem("PATCH", "/subscription", quantity=4) == UNPAID
    paths = [line.msg["path"] for line in caplog.records if isinstance(line.msg, dict) and "path" in line.msg]
    assert paths == [f"/v1/invoices/{each}" for each in ([debtor.renewal, first] if is_paid else [debtor.renewal])]


def test_forgiven_invoice_blocks_no_increase(renew: Renew) -> None:
    debtor = renew(card="pm_card_visa", days=1, status="active")
    v1 = debtor.world.stripe.v1
    v1.subscriptions.update(debtor.subscription, {"pause_collection": {"behavior": "mark_uncollectible"}})
    debtor.wait_for_renewal()
    debtor.wait(days=0.1)
    forgiven = v1.invoices.retrieve(str(v1.subscriptions.retrieve(debtor.subscription).latest_invoice))
    assert (forgiven.status, forgiven.attempted) == ("uncollectible", False)
    details = debtor.api.ok("GET", "/subscription")
    assert (details["standing"], details["payment_problem"]) == ("good", None)
    assert debtor.api.ok("PATCH", "/subscription", quantity=4)["state"] == "applied"


def decline_change(debtor: Debtor) -> str:
    """Let the dashboard add units that the card cannot pay, and return the unpaid invoice."""
    debtor.set_after_retries("past_due")
    debtor.api.add_card(debtor.world.stripe, "pm_card_chargeCustomerFail")
    debtor.increase_in_dashboard(quantity=10)
    debtor.wait(days=25)
    return str(debtor.world.stripe.v1.subscriptions.retrieve(debtor.subscription).latest_invoice)


def test_unpaid_change_stays_a_debt_after_a_paid_month(renew: Renew) -> None:
    debtor = renew(card="pm_card_visa", days=1, status="active")
    unpaid = decline_change(debtor)
    assert debtor.api.ok("GET", "/subscription")["standing"] == "suspended"
    debtor.api.add_card(debtor.world.stripe)
    debtor.wait_for_renewal()
    debtor.wait(days=0.1)
    details = debtor.api.ok("GET", "/subscription")
    assert (details["status"], details["standing"], details["plan"]) == ("active", "suspended", "free")
    assert (details["payment_problem"]["invoice"], details["actions"][0]) == (unpaid, "pay_invoice")
    debtor.api.ok("POST", f"/invoices/{unpaid}/pay")
    debtor.world.settle()
    assert debtor.api.ok("GET", "/subscription")["standing"] == "good"


def test_lookup_that_decides_nothing_waits_before_the_next_one(renew: Renew) -> None:
    """A subscription's stored time may be wrong. An immediate lookup would then follow the other forever."""
    debtor = renew(card="pm_card_visa", days=1, status="active")
    unpaid = decline_change(debtor)
    debtor.api.add_card(debtor.world.stripe)
    debtor.wait_for_renewal()
    debtor.wait(days=0.1)
    with debtor.world.gateway.database.transaction() as session:
        row = session.get_one(Subscription, debtor.subscription)
        row.as_of = debtor.world.gateway.clock() + timedelta(days=1000)
    refresh(debtor.world.gateway, "invoice", unpaid)
    waiting = "SELECT scheduled_at FROM procrastinate_jobs WHERE task_name = %(task)s AND status = 'todo'"
    [(at,)] = debtor.world.gateway.database.read(waiting, {"task": jobs.REFRESH})
    assert at is not None
    assert debtor.api.ok("GET", "/subscription")["standing"] == "suspended"
