"""The withdrawal of a credit resumes at every line, and charges and credits each cent once."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from gateway.app import build_gateway
from gateway.services.plan_changes.unpaid_credits import finish_withdrawal
from tests.integration.unpaid_periods.debtor import Debtor
from tests.support.world import NOWHERE

ITEMS, NOTES = "/v1/invoiceitems", "/v1/credit_notes"


def cancel(debtor: Debtor) -> str:
    return str(debtor.api.ok("DELETE", "/subscription")["id"])


def assert_withdrawn(debtor: Debtor) -> None:
    """Check that the unused time was credited once, on the unpaid invoice."""
    [credit] = debtor.credited()
    assert sorted(debtor.pending()) == [-credit, credit]
    assert debtor.balance() == 0


@pytest.mark.parametrize("path", [ITEMS, NOTES])
@pytest.mark.parametrize("kind", ["error_before", "error_after", "response_lost", "rate_limit"])
def test_job_finishes_what_the_request_left(debtor: Debtor, path: str, kind: str) -> None:
    debtor.world.fault(kind, method="POST", path=path, times=1)
    change_id = cancel(debtor)
    debtor.world.end_faults()
    debtor.run_withdrawal(change_id)
    assert_withdrawn(debtor)


def test_repeated_withdrawal_changes_nothing(debtor: Debtor) -> None:
    change_id = cancel(debtor)
    debtor.run_withdrawal(change_id)
    assert_withdrawn(debtor)


def test_change_queues_the_job(debtor: Debtor) -> None:
    change_id = cancel(debtor)
    query = text("SELECT args ->> 'change_id' FROM procrastinate_jobs WHERE task_name = 'gateway.withdraw_credits'")
    with debtor.world.gateway.database.transaction() as session:
        assert session.scalars(query).all() == [change_id]


def test_money_paid_between_the_two_steps_reaches_the_balance(debtor: Debtor) -> None:
    debtor.world.fault("error_before", method="POST", path=NOTES, times=1)
    change_id = cancel(debtor)
    debtor.world.end_faults()
    debtor.pay()
    debtor.run_withdrawal(change_id)
    [credit] = debtor.credited()
    assert debtor.balance() == -credit
    assert sum(debtor.pending()) == 0


def test_money_paid_before_the_first_step_is_credited_as_usual(debtor: Debtor) -> None:
    debtor.world.fault("error_before", method="POST", path=ITEMS, times=1)
    change_id = cancel(debtor)
    debtor.world.end_faults()
    debtor.pay()
    debtor.run_withdrawal(change_id)
    assert debtor.credited() == []
    assert [amount < 0 for amount in debtor.pending()] == [True]


def test_invoice_voided_before_the_first_step_leaves_no_credit(debtor: Debtor) -> None:
    debtor.world.fault("error_before", method="POST", path=ITEMS, times=1)
    change_id = cancel(debtor)
    debtor.world.end_faults()
    debtor.void()
    debtor.run_withdrawal(change_id)
    assert (sum(debtor.pending()), debtor.credited()) == (0, [])


def test_ordinary_change_calls_stripe_for_no_withdrawal(debtor: Debtor) -> None:
    debtor.pay()
    change_id = cancel(debtor)
    offline = build_gateway(replace(debtor.world.gateway.config, stripe_api_base=NOWHERE))
    finish_withdrawal(offline, change_id)
    offline.database.close()


def test_usage_of_a_removed_item_is_billed(debtor: Debtor) -> None:
    debtor.add_usage(calls=70, price=10)
    change_id = cancel(debtor)
    finish_withdrawal(debtor.world.gateway, change_id)
    assert sum(debtor.pending()) == 700
