"""The causes of a difference add up to it."""

from typing import Any

import pytest

from gateway.db.models import Invoice, UpcomingInvoice
from gateway.services.mirror.calculated_charges import compare_with_calculated
from tests.support.json_types import Json


def line(kind: str, amount: int, **more: Any) -> Json:
    return {"kind": kind, "amount": amount, "discount": 0, "tax": 0} | more


PLAN, USAGE = line("plan", 5000), line("usage", 70)
PAID = {"balance": -5055}
"""The cause of an invoice of 5085 that the balance pays. It paid 30 of the calculated charges."""


@pytest.mark.parametrize(
    ("lines", "total", "amount_due", "causes"),
    [
        ([PLAN, USAGE], 5070, 5040, {}),
        ([PLAN, line("usage", 90)], 5090, 5060, {"usage": 20}),
        ([PLAN, line("usage", 90, tax=8)], 5098, 5068, {"usage": 28}),
        ([PLAN, USAGE, line("proration", -400)], 4670, 4640, {"change": -400}),
        ([line("plan", 5000, discount=-500), USAGE], 4570, 4540, {"change": -500}),
        ([PLAN, USAGE, line("item", 1)], 5071, 5041, {"change": 1}),
        ([PLAN, USAGE], 5070, 4070, {"balance": -970}),
        ([PLAN, USAGE], 5000, 4970, {"unexplained": -70}),
        ([PLAN, line("usage", 90), line("item", 5)], 5085, 0, {"usage": 20, "change": 5, "unexplained": -10} | PAID),
    ],
)
def test_causes_add_up_to_the_difference(lines: list[Json], total: int, amount_due: int, causes: Json) -> None:
    invoice = Invoice(amount_due=amount_due, total=total, lines=lines)
    compare_with_calculated(invoice, UpcomingInvoice(amount_due=5040, total=5070, lines=[PLAN, USAGE]))
    assert invoice.calculated_due == 5040
    assert {each["cause"]: each["amount"] for each in invoice.differences} == causes
    assert sum(causes.values()) == amount_due - 5040
