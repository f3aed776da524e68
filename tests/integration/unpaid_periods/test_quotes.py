"""The quote of a change in an unpaid period states the credit and the remaining debt."""

from collections.abc import Callable

import pytest

from gateway.db import jobs
from gateway.db.models import PlanChange
from gateway.errors import StripeUnavailable
from tests.integration.unpaid_periods.debtor import Debtor
from tests.support.jobs import make_due
from tests.support.json_types import Json


def preview(debtor: Debtor, **change: object) -> Json:
    return debtor.api.ok("POST", "/subscription/preview", **change)


def next_amount_due(debtor: Debtor) -> int:
    return debtor.world.stripe.v1.invoices.create_preview({"subscription": debtor.subscription}).amount_due


@pytest.mark.parametrize("change", [{"plan": "free"}, {"quantity": 1}])
def test_unpaid_time_is_quoted_as_no_credit(debtor: Debtor, change: Json) -> None:
    debtor.wait(days=2)
    quote = preview(debtor, **change)
    assert quote["credit"] == 0
    debtor.api.ok("PATCH", "/subscription", quote=quote["token"])
    assert debtor.invoice().amount_remaining == quote["amount_unpaid"] > 0
    assert next_amount_due(debtor) == quote["amount_due_on_billing_date"]


def test_charge_equals_the_quote(debtor: Debtor) -> None:
    quote = preview(debtor, quantity=1)
    change = debtor.api.ok("PATCH", "/subscription", quote=quote["token"])
    with debtor.world.gateway.database.transaction() as session:
        assert session.get_one(PlanChange, change["id"]).charged is None
    debtor.run_withdrawal(change["id"])
    debtor.world.settle()
    with debtor.world.gateway.database.transaction() as session:
        row = session.get_one(PlanChange, change["id"])
        assert row.quoted == row.charged == sum(line["amount"] for line in quote["lines"] if in_change(quote, line))


def test_charge_equals_the_quote_if_an_event_withdraws_the_credit(debtor: Debtor) -> None:
    quote = preview(debtor, quantity=1)
    debtor.world.fault("error_before", method="POST", path="/v1/invoiceitems", times=2)  # the request and the job
    change = debtor.api.ok("PATCH", "/subscription", quote=quote["token"])
    with pytest.raises(StripeUnavailable):
        debtor.run_withdrawal(change["id"])
    debtor.world.end_faults()
    debtor.world.stripe.v1.invoices.update(debtor.renewal, {"metadata": {"an": "event"}})
    debtor.world.settle()
    make_due(debtor.world, jobs.WITHDRAW_FOREIGN_CREDITS)
    debtor.world.settle()
    assert len(debtor.credited()) == 1
    debtor.run_withdrawal(change["id"])
    debtor.world.settle()
    with debtor.world.gateway.database.transaction() as session:
        row = session.get_one(PlanChange, change["id"])
        assert row.quoted == row.charged


def in_change(quote: Json, line: Json) -> bool:
    """Return whether the change makes the line. All its lines begin in the quote's second."""
    return bool(line["period"]["start"] == quote["proration_date"])


def test_paid_time_is_quoted_as_a_credit(debtor: Debtor) -> None:
    debtor.pay()
    quote = preview(debtor, plan="free")
    assert (quote["amount_unpaid"], quote["credit"] > 0) == (0, True)


def test_quote_is_stale_once_the_invoice_is_paid(debtor: Debtor) -> None:
    token = preview(debtor, plan="free")["token"]
    debtor.pay()
    assert debtor.api.problem("PATCH", "/subscription", quote=token) == (409, "quote_stale")


def test_quote_is_stale_once_another_part_of_the_debt_is_credited(debtor: Debtor) -> None:
    token = preview(debtor, plan="free")["token"]
    debtor.world.stripe.v1.credit_notes.create({"invoice": debtor.renewal, "amount": 100})
    debtor.world.settle()
    assert debtor.api.problem("PATCH", "/subscription", quote=token) == (409, "quote_stale")


@pytest.mark.parametrize(("change", "status"), [({"plan": "free"}, "active"), ({"quantity": 1}, "canceled")])
def test_credit_of_a_paid_period_outlasts_a_scheduled_end(
    renew: Callable[..., Debtor], change: Json, status: str
) -> None:
    debtor = renew(card="pm_card_visa", days=1, status="active")
    debtor.world.stripe.v1.subscriptions.update(debtor.subscription, {"cancel_at_period_end": True})
    debtor.world.settle()
    quote = preview(debtor, **change)
    assert (quote["credit"] > 0, quote["amount_due_now"]) == (True, 0)
    debtor.api.ok("PATCH", "/subscription", quote=quote["token"])
    debtor.world.settle()
    [made] = [each for each in debtor.world.rows(PlanChange) if each.quoted is not None]
    assert (made.charged, made.due_now) == (made.quoted, made.quoted_due_now)
    debtor.wait_for_renewal()
    debtor.wait(days=0.1)
    kept = sum(line["amount"] for line in quote["lines"] if line["proration"])
    assert (debtor.balance(), debtor.api.ok("GET", "/subscription")["status"]) == (kept, status)
