"""An unpaid invoice is a debt until it is paid or voided, also after it was written off."""

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
