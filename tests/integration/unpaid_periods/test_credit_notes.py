"""Money that a credit note of sales gave back, or that it took off the debt, is not credited once more."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.unpaid_periods.debtor import Debtor
from tests.support.jobs import run_delayed_jobs


@pytest.fixture
def payer(renew: Callable[..., Debtor]) -> Debtor:
    """Return an organization with three units of Plus whose first renewal was paid a while ago."""
    return renew(card="pm_card_visa", days=9, status="active")


def given_back(payer: Debtor) -> int:
    """Return what the organization has to its credit, in pending items and on its balance."""
    return -sum(payer.pending()) - payer.balance()


def issue_credit_note(payer: Debtor, amount: int) -> None:
    """Add a part of what was paid to the customer's balance, as sales does."""
    payer.world.stripe.v1.credit_notes.create({"invoice": payer.renewal, "amount": amount, "credit_amount": amount})
    payer.world.settle()


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_credit_note_is_credited_only_once(payer: Debtor, share: float) -> None:
    amount = int(payer.invoice().amount_paid * share)
    issue_credit_note(payer, amount)
    quote = payer.api.ok("POST", "/subscription/preview", plan="free")
    payer.api.ok("PATCH", "/subscription", quote=quote["token"])
    assert given_back(payer) == amount + quote["credit"]
    assert quote["credit"] == max(0, payer.price - amount)  # the quote prorates from the beginning of the period


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_credit_note_after_leaving_withdraws_the_credit(payer: Debtor, share: float) -> None:
    amount = int(payer.invoice().amount_paid * share)
    payer.api.ok("DELETE", "/subscription")
    payer.world.settle()
    credit = given_back(payer)
    issue_credit_note(payer, amount)
    run_delayed_jobs(payer.world)  # looks the invoice up
    run_delayed_jobs(payer.world)  # withdraws the credit
    assert given_back(payer) == max(amount, credit)


@pytest.mark.parametrize("way", ["refund_amount", "out_of_band_amount"])
def test_other_ways_of_a_credit_note_count_once_too(payer: Debtor, way: str) -> None:
    paid = payer.invoice().amount_paid
    params: Any = {"invoice": payer.renewal, "amount": paid // 10, way: paid // 10}
    payer.world.stripe.v1.credit_notes.create(params)
    payer.world.settle()
    quote = payer.api.ok("POST", "/subscription/preview", plan="free")
    payer.api.ok("PATCH", "/subscription", quote=quote["token"])
    assert given_back(payer) == quote["credit"]
    assert sum(each for each in payer.pending() if each > 0) == paid // 10


def test_quote_is_stale_after_a_credit_note(payer: Debtor) -> None:
    token = payer.api.ok("POST", "/subscription/preview", plan="free")["token"]
    issue_credit_note(payer, 1000)
    assert payer.api.problem("PATCH", "/subscription", quote=token) == (409, "quote_stale")


def test_what_a_credit_note_took_off_the_debt_is_not_credited(debtor: Debtor) -> None:
    debtor.world.stripe.v1.credit_notes.create({"invoice": debtor.renewal, "amount": 5000})
    debtor.pay()
    quote = debtor.api.ok("POST", "/subscription/preview", plan="free")
    debtor.api.ok("PATCH", "/subscription", quote=quote["token"])
    assert given_back(debtor) == quote["credit"]
    assert [each for each in debtor.pending() if each > 0] == [5000]
