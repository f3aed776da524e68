"""The causes of a difference add up to it."""

from typing import Any

import pytest

from gateway.db.models import Invoice, UpcomingInvoice
from gateway.services.mirror.calculated_charges import compare_with_calculated
from tests.support.json_types import Json


def line(kind: str, amount: int, **more: Any) -> Json:
    return {"kind": kind, "amount": amount, "discount": 0, "tax": 0} | more


PLAN, USAGE = line("plan", 5000), line("usage", 70)


@pytest.mark.parametrize(
    ("lines", "amount_due", "causes"),
    [
        ([PLAN, USAGE], 5070, {}),
        ([PLAN, line("usage", 90)], 5090, {"usage": 20}),
        ([PLAN, line("usage", 90, tax=8)], 5098, {"usage": 28}),
        ([PLAN, USAGE, line("proration", -400)], 4670, {"change": -400}),
        ([line("plan", 5000, discount=-500), USAGE], 4570, {"change": -500}),
        ([PLAN, USAGE, line("item", 1)], 5071, {"change": 1}),
        ([PLAN, USAGE], 4070, {"balance": -1000}),
        ([PLAN, line("usage", 90), line("item", 5)], 0, {"usage": 20, "change": 5, "balance": -5095}),
    ],
)
def test_causes_add_up_to_the_difference(lines: list[Json], amount_due: int, causes: Json) -> None:
    invoice = Invoice(amount_due=amount_due, lines=lines)
    compare_with_calculated(invoice, UpcomingInvoice(amount_due=5070, lines=[PLAN, USAGE]))
    assert invoice.calculated_due == 5070
    assert {each["cause"]: each["amount"] for each in invoice.differences} == causes
    assert sum(causes.values()) == amount_due - 5070
