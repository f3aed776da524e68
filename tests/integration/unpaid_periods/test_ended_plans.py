"""Stripe has ended a subscription that was not paid. The debt stays in sight, and the organization can buy again."""

import pytest

from gateway.db.models import Invoice
from tests.integration.unpaid_periods.debtor import Debtor
from tests.support.json_types import Json

NO_CHANGE = (409, "no_change")


@pytest.fixture
def ended(debtor: Debtor) -> Debtor:
    """Return an organization whose subscription Stripe canceled after the last attempt to collect an invoice."""
    debtor.set_after_retries("canceled")
    debtor.wait(20)
    assert debtor.details()["status"] == "canceled"
    return debtor


def test_the_debt_is_looked_up_and_shown_until_it_is_paid(ended: Debtor) -> None:
    [invoice] = [row for row in ended.world.rows(Invoice) if row.id == ended.renewal]
    assert invoice.payment_under_way is False
    shown = ended.details()
    problem = shown["payment_problem"]
    assert (shown["plan"], shown["standing"], shown["actions"][0]) == ("free", "good", "pay_invoice")
    assert (problem["reason"], problem["invoice"]) == ("retries_ended", ended.renewal)
    ended.pay()
    shown = ended.details()
    assert shown["payment_problem"] is None
    assert "pay_invoice" not in shown["actions"]


def test_the_debt_is_shown_beside_the_next_subscription(ended: Debtor) -> None:
    assert ended.api.ok("POST", "/subscription", plan="free")["state"] == "applied"
    shown = ended.details()
    assert (shown["status"], shown["actions"][0]) == ("active", "pay_invoice")
    assert shown["payment_problem"]["invoice"] == ended.renewal
    assert ended.api.problem("PATCH", "/subscription", plan="plus") == (402, "unpaid_invoice")


@pytest.mark.parametrize("wanted", [{"plan": "free"}, {}], ids=["on Free", "on no plan in particular"])
def test_enrolling_again_allows_a_quote_and_the_purchase(ended: Debtor, wanted: Json) -> None:
    ended.pay()
    assert ended.api.problem("POST", "/subscription/preview", plan="plus") == (409, "not_enrolled")
    ended.api.ok("POST", "/subscription", **wanted)
    shown = ended.details()
    assert (shown["plan"], shown["status"], shown["trial"]) == ("free", "active", None)
    assert ended.api.problem("POST", "/subscription", plan="free") == NO_CHANGE
    quote = ended.api.ok("POST", "/subscription/preview", plan="plus", quantity=2)
    assert ended.api.ok("PATCH", "/subscription", quote=quote["token"])["state"] == "applied"
    ended.world.settle()
    assert (ended.details()["plan"], ended.details()["quantity"]) == ("plus", 2)


def test_only_an_enrolment_begins_a_subscription_on_free(ended: Debtor) -> None:
    assert ended.api.problem("DELETE", "/subscription") == NO_CHANGE
    assert ended.api.problem("PATCH", "/subscription", plan="free") == NO_CHANGE
    assert ended.world.stripe.v1.subscriptions.list({"customer": ended.customer}).data == []
