"""An unpaid invoice is a debt until it is paid or voided, also after it was written off."""

import logging

import pytest

from tests.integration.unpaid_periods.debtor import Debtor

UNPAID = (402, "unpaid_invoice")


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
