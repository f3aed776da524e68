"""An unpaid invoice is a debt until it is paid or voided, also after it was written off."""

import logging

import pytest

from tests.integration.unpaid_periods.debtor import Debtor

UNPAID = (402, "unpaid_invoice")


def test_written_off_invoice_blocks_an_increase(debtor: Debtor) -> None:
    debtor.write_off()
    assert debtor.api.ok("GET", "/subscription")["status"] == "active"
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


def test_one_debt_that_is_still_unpaid_is_looked_up(debtor: Debtor, caplog: pytest.LogCaptureFixture) -> None:
    v1 = debtor.world.stripe.v1
    for _ in range(3):
        invoice = v1.invoices.create({"customer": debtor.customer, "pending_invoice_items_behavior": "exclude"})
        v1.invoice_items.create({"customer": debtor.customer, "amount": 700, "currency": "usd", "invoice": invoice.id})
        v1.invoices.finalize_invoice(invoice.id, {"auto_advance": False})
    debtor.world.settle()
    caplog.set_level(logging.INFO, "gateway.stripe_api.client")
    caplog.clear()
    assert debtor.api.problem("PATCH", "/subscription", quantity=4) == UNPAID
    paths = [line.msg["path"] for line in caplog.records if isinstance(line.msg, dict) and "path" in line.msg]
    assert paths == [f"/v1/invoices/{debtor.renewal}"]
