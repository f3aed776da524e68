"""Disputes by test cards and on request, and how they end."""

from typing import Any

import pytest
import requests
import stripe

from gateway.sandbox import Sandbox
from tests.support.stripe_account import StripeAccount

OPENED = ["charge.dispute.created", "charge.dispute.funds_withdrawn"]


@pytest.fixture
def dispute(account: StripeAccount) -> stripe.Dispute:
    account.subscribe(account.customer("pm_card_createDispute").id, account.price(1000).id)
    return account.v1.disputes.list().data[0]


def told(account: StripeAccount) -> list[str]:
    return [event.type for event in account.events(type="charge.dispute.*")]


def test_test_card_pays_and_disputes(account: StripeAccount, dispute: stripe.Dispute) -> None:
    charge = account.v1.charges.retrieve(str(dispute.charge))
    assert (charge.paid, charge.disputed) == (True, True)
    assert (dispute.amount, dispute.status, dispute.reason) == (1000, "needs_response", "fraudulent")
    assert account.v1.subscriptions.list().data[0].status == "active"
    assert told(account) == OPENED


def test_accepted_dispute_is_lost(account: StripeAccount, dispute: stripe.Dispute) -> None:
    assert account.v1.disputes.close(dispute.id).status == "lost"
    assert told(account) == [*OPENED, "charge.dispute.closed"]
    with pytest.raises(stripe.InvalidRequestError, match="already closed"):
        account.v1.disputes.close(dispute.id)


@pytest.mark.parametrize(
    ("text", "status", "events"),
    [
        ("winning_evidence", "won", ["updated", "closed", "funds_reinstated"]),
        ("losing_evidence", "lost", ["updated", "closed"]),
        ("a letter", "under_review", ["updated"]),
    ],
)
def test_evidence_decides(
    account: StripeAccount, dispute: stripe.Dispute, text: str, status: str, events: list[str]
) -> None:
    evidence: Any = {"uncategorized_text": text}
    assert account.v1.disputes.update(dispute.id, {"evidence": evidence}).status == status
    assert told(account) == OPENED + [f"charge.dispute.{event}" for event in events]


def test_draft_of_evidence_decides_nothing(account: StripeAccount, dispute: stripe.Dispute) -> None:
    evidence: Any = {"uncategorized_text": "winning_evidence"}
    kept = account.v1.disputes.update(dispute.id, {"evidence": evidence, "submit": False})
    assert (kept.status, kept.evidence_details.submission_count) == ("needs_response", 0)


def test_other_evidence_is_refused_by_name(account: StripeAccount, dispute: stripe.Dispute) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=r"evidence\[receipt\]"):
        account.v1.disputes.update(dispute.id, {"evidence": {"receipt": "file_x"}})


def test_disputed_charge_is_not_refunded(account: StripeAccount, dispute: stripe.Dispute) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.v1.refunds.create({"charge": str(dispute.charge)})
    assert refused.value.code == "charge_disputed"


@pytest.mark.parametrize("status", ["won", "lost"])
def test_dispute_is_opened_and_decided_on_request(
    account: StripeAccount, sandbox: Sandbox, customer: str, status: str
) -> None:
    account.subscribe(customer, account.price(1000).id)
    charge = account.v1.charges.list().data[0].id
    url = f"{sandbox.url}/_sandbox/disputes"
    opened = requests.post(url, json={"charge": charge, "amount": 400, "reason": "duplicate"}, timeout=5)
    assert (opened.status_code, opened.json()["amount"], opened.json()["reason"]) == (201, 400, "duplicate")
    decided = requests.post(f"{url}/{opened.json()['id']}", json={"status": status}, timeout=5)
    assert account.v1.disputes.retrieve(decided.json()["id"]).status == status
    assert account.v1.charges.retrieve(charge).disputed


@pytest.mark.parametrize("body", [{}, {"charge": "ch_x"}, {"charge": "ch_x", "more": 1}, [], {"charge": None}])
def test_impossible_dispute_is_refused(sandbox: Sandbox, body: Any) -> None:
    assert requests.post(f"{sandbox.url}/_sandbox/disputes", json=body, timeout=5).status_code in {400, 404}
    assert requests.post(f"{sandbox.url}/_sandbox/disputes/du_x", json={"status": "gone"}, timeout=5).status_code == 400
