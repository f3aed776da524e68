"""An unpaid subscription becomes active by payment. Until then, Plan Details show the debt and nothing is sold."""

import pytest

from gateway.db.models import Invoice
from tests.integration.unpaid_periods.debtor import Debtor
from tests.support.json_types import Json

UNPAID = (402, "unpaid_invoice")


def unpaid(debtor: Debtor) -> list[Json]:
    """Return the invoices to pay, oldest first."""
    listed = debtor.api.ok("GET", "/invoices")["data"][::-1]
    return [each for each in listed if each["status"] in ("draft", "open", "uncollectible")]


def test_payment_problem_lasts_until_the_payment(debtor: Debtor) -> None:
    shown = debtor.details()
    [failed] = unpaid(debtor)
    assert shown["standing"] == "grace"
    assert shown["payment_problem"] == {
        "reason": "payment_failed",
        "invoice": debtor.renewal,
        "pay_url": failed["hosted_invoice_url"],
        "next_attempt_at": failed["next_payment_attempt"],
    }
    debtor.api.add_card(debtor.world.stripe, "pm_card_authenticationRequired")
    debtor.wait(4)
    assert debtor.details()["payment_problem"]["reason"] == "action_required"
    debtor.pay()
    shown = debtor.details()
    assert (shown["standing"], shown["payment_problem"]) == ("good", None)


@pytest.fixture
def abandoned(debtor: Debtor) -> Debtor:
    """Return an organization whose subscription is unpaid, with an open invoice and the drafts of two months."""
    debtor.set_after_retries("unpaid")
    debtor.wait(80)
    assert debtor.details()["status"] == "unpaid"
    return debtor


def test_unpaid_subscription_shows_what_must_be_paid(abandoned: Debtor) -> None:
    shown = abandoned.details()
    assert (shown["plan"], shown["standing"]) == ("free", "suspended")
    assert shown["actions"][0] == "pay_invoice"
    problem = shown["payment_problem"]
    assert (problem["reason"], problem["invoice"]) == ("retries_ended", abandoned.renewal)
    assert [each["status"] for each in unpaid(abandoned)] == ["open", "draft", "draft"]


def test_paying_everything_brings_the_plan_back(abandoned: Debtor) -> None:
    abandoned.api.add_card(abandoned.world.stripe)
    for each in unpaid(abandoned):
        assert abandoned.api.problem("PATCH", "/subscription", quantity=4) == UNPAID
        assert abandoned.api.ok("POST", f"/invoices/{each['id']}/pay")["status"] == "paid"
    abandoned.world.settle()
    shown = abandoned.details()
    assert (shown["plan"], shown["status"], shown["standing"]) == ("plus", "active", "good")
    assert "pay_invoice" not in shown["actions"]
    assert abandoned.api.ok("PATCH", "/subscription", quantity=4)["state"] == "applied"


def test_drafts_alone_still_block_a_purchase(abandoned: Debtor) -> None:
    abandoned.void()
    assert [each["status"] for each in unpaid(abandoned)] == ["draft", "draft"]
    assert abandoned.api.problem("PATCH", "/subscription", quantity=4) == UNPAID
    assert abandoned.details()["actions"][0] == "pay_invoice"


def test_declined_draft_stays_open_and_can_be_paid_again(abandoned: Debtor) -> None:
    draft = unpaid(abandoned)[-1]["id"]
    assert abandoned.api.problem("POST", f"/invoices/{draft}/pay") == (402, "card_declined")
    assert {each["id"]: each["status"] for each in unpaid(abandoned)}[draft] == "open"
    abandoned.api.add_card(abandoned.world.stripe)
    assert abandoned.api.ok("POST", f"/invoices/{draft}/pay")["status"] == "paid"


def test_draft_whose_payment_needs_approval_names_its_page(abandoned: Debtor) -> None:
    abandoned.api.add_card(abandoned.world.stripe, "pm_card_authenticationRequired")
    draft = unpaid(abandoned)[-1]["id"]
    refused = abandoned.api("POST", f"/invoices/{draft}/pay").get_json()
    assert refused["code"] == "payment_action_required"
    assert refused["hosted_invoice_url"] == abandoned.world.stripe.v1.invoices.retrieve(draft).hosted_invoice_url


def test_other_drafts_are_neither_shown_nor_paid(debtor: Debtor) -> None:
    debtor.pay()
    debtor.wait_for_renewal()
    [draft] = [each for each in debtor.world.rows(Invoice) if each.status == "draft"]
    assert debtor.api.problem("POST", f"/invoices/{draft.id}/pay") == (404, "not_found")


def test_given_up_invoice_suspends_in_later_months_until_it_is_paid(debtor: Debtor) -> None:
    debtor.set_after_retries("past_due")
    debtor.wait(20)
    assert (debtor.details()["plan"], debtor.details()["standing"]) == ("free", "suspended")
    debtor.api.add_card(debtor.world.stripe)
    debtor.wait(15)
    shown = debtor.details()  # the next month is paid
    assert (shown["status"], shown["plan"], shown["standing"]) == ("active", "free", "suspended")
    assert shown["actions"][0] == "pay_invoice"
    debtor.api.ok("POST", f"/invoices/{debtor.renewal}/pay")
    assert (debtor.details()["plan"], debtor.details()["standing"]) == ("plus", "good")


@pytest.mark.parametrize("settled", ["write_off", "void"])
def test_written_off_invoice_suspends_and_a_voided_one_does_not(debtor: Debtor, settled: str) -> None:
    getattr(debtor, settled)()
    debtor.world.settle()
    shown = debtor.details()
    assert (shown["status"], shown["standing"]) == ("active", "suspended" if settled == "write_off" else "good")


def test_bank_debit_in_progress_is_no_debt(debtor: Debtor) -> None:
    debtor.give_bank_account("pm_usBankAccount_success")
    debtor.world.stripe.v1.invoices.pay(debtor.renewal)
    debtor.world.settle()
    assert (debtor.details()["plan"], debtor.details()["standing"]) == ("plus", "good")
    assert debtor.api.problem("POST", f"/invoices/{debtor.renewal}/pay") == (409, "invoice_not_open")
    debtor.api.add_card(debtor.world.stripe)
    assert debtor.api.ok("PATCH", "/subscription", quantity=4)["state"] == "applied"


def test_failed_bank_debit_of_a_given_up_invoice_suspends_again(debtor: Debtor) -> None:
    debtor.set_after_retries("past_due")
    debtor.wait(20)
    debtor.give_bank_account("pm_usBankAccount_insufficientFunds")
    debtor.world.stripe.v1.invoices.pay(debtor.renewal)  # only the payment intent's event shows this
    debtor.world.settle()
    assert (debtor.details()["plan"], debtor.details()["standing"]) == ("plus", "good")
    debtor.wait(6)
    assert (debtor.details()["plan"], debtor.details()["standing"]) == ("free", "suspended")
