"""Leaving an unpaid period credits nothing, and the organization owes the time that it used."""

import pytest

from tests.integration.unpaid_periods.debtor import Debtor


def leave(debtor: Debtor) -> int:
    """Cancel the plan and return by how much the amount due of the period's invoice fell."""
    before = debtor.invoice().amount_remaining
    assert debtor.api.ok("DELETE", "/subscription")["state"] == "applied"
    return before - debtor.invoice().amount_remaining


def unused_share(debtor: Debtor) -> float:
    """Return the share of the present period that is still to come at Stripe."""
    item = debtor.world.stripe.v1.subscriptions.retrieve(debtor.subscription).items.data[0]
    return (item.current_period_end - debtor.stripe_time()) / (item.current_period_end - item.current_period_start)


@pytest.mark.parametrize("days", [0, 9])
def test_cancelling_an_unpaid_period_only_lowers_the_debt(debtor: Debtor, days: int) -> None:
    debtor.wait(days)
    share = unused_share(debtor)
    lowered = leave(debtor)
    assert lowered == pytest.approx(debtor.price * share, abs=10)
    assert debtor.credited() == [lowered]
    assert (sum(debtor.pending()), debtor.balance()) == (0, 0)


def test_paying_after_the_downgrade_charges_the_reduced_amount(debtor: Debtor) -> None:
    debtor.wait(days=9)
    owed = debtor.invoice().amount_remaining - leave(debtor)
    [shown] = [each for each in debtor.api.ok("GET", "/invoices")["data"] if each["id"] == debtor.renewal]
    assert shown["amount_remaining"] == owed
    debtor.pay()
    assert debtor.invoice().amount_paid == owed


def test_upgrade_after_a_downgrade_is_charged(debtor: Debtor) -> None:
    debtor.wait(days=9)
    lowered = leave(debtor)
    debtor.pay()
    debtor.api.ok("PATCH", "/subscription", plan="plus", quantity=3)
    assert sum(debtor.pending()) == pytest.approx(lowered, abs=10)


def test_written_off_period_is_credited_like_an_open_one(debtor: Debtor) -> None:
    debtor.write_off()
    lowered = leave(debtor)
    assert 0 < lowered == sum(debtor.credited())
    assert sum(debtor.pending()) == 0


def test_voided_debt_leaves_no_credit(debtor: Debtor) -> None:
    leave(debtor)
    debtor.void()
    assert (sum(debtor.pending()), debtor.balance()) == (0, 0)


def test_quantity_reduction_in_an_unpaid_period_credits_nothing(debtor: Debtor) -> None:
    debtor.wait(days=9)
    debtor.api.ok("PATCH", "/subscription", quantity=1)
    [credit] = debtor.credited()
    assert sum(debtor.pending()) == pytest.approx(credit / 3, abs=1)
    debtor.pay()
    debtor.api.ok("DELETE", "/subscription")
    assert sum(debtor.pending()) == pytest.approx(0, abs=5)


def test_downgrade_in_a_paid_period_still_credits(debtor: Debtor) -> None:
    debtor.pay()
    debtor.api.ok("DELETE", "/subscription")
    assert debtor.credited() == []
    assert sum(debtor.pending()) < 0
