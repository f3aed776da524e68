"""A plan that is charged immediately follows the same rule in an unpaid period."""

import pytest

from tests.integration.unpaid_periods.debtor import Debtor
from tests.support.json_types import Json
from tests.support.plans import charge_plus


@pytest.fixture
def debtor(debtor: Debtor) -> Debtor:
    """Return the debtor at a gateway that charges Plus immediately."""
    charge_plus(debtor.world)
    return debtor


@pytest.mark.parametrize(("change", "left"), [({"plan": "free"}, 0), ({"quantity": 1}, 1 / 3)])
def test_reduction_in_an_unpaid_period_waits_for_the_billing_date(debtor: Debtor, change: Json, left: float) -> None:
    quote = debtor.api.ok("POST", "/subscription/preview", **change)
    assert (quote["amount_due_now"], quote["credit"]) == (0, 0)
    assert debtor.api.ok("PATCH", "/subscription", quote=quote["token"])["state"] == "applied"
    [credit] = debtor.credited()
    assert sum(debtor.pending()) == pytest.approx(credit * left, abs=1)
    assert debtor.balance() == 0


def test_reduction_in_a_paid_period_is_settled_immediately(debtor: Debtor) -> None:
    debtor.pay()
    debtor.api.ok("PATCH", "/subscription", quantity=1)
    assert debtor.balance() < 0
