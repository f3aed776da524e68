"""The lines of credit notes, which credit an invoice line by amount or quantity, or any amount."""

from typing import Any

import pytest
import stripe

from tests.support.json_types import Json
from tests.support.stripe_account import StripeAccount, plain


@pytest.fixture
def invoice(account: StripeAccount) -> stripe.Invoice:
    """Return an open invoice with a line of 3 x 10.00 and a credit of 2.00."""
    customer = account.customer("pm_card_chargeCustomerFail")
    account.v1.invoice_items.create({"customer": customer.id, "amount": -200, "currency": "usd"})
    return account.invoice(account.subscribe(customer.id, account.price(1000).id, quantity=3))


def credit(account: StripeAccount, invoice: stripe.Invoice, *lines: Json) -> stripe.CreditNote:
    params: Any = {"invoice": invoice.id, "lines": list(lines)}
    return account.v1.credit_notes.create(params)


def line_of(invoice: stripe.Invoice, amount: int = 3000, **more: Any) -> Json:
    found = next(line.id for line in invoice.lines.data if line.amount == amount)
    return {"type": "invoice_line_item", "invoice_line_item": found} | more


def custom(**more: Any) -> Json:
    return {"type": "custom_line_item", "description": "Courtesy", "quantity": 2, "unit_amount": 150} | more


def test_quantity_credits_the_units_of_a_line(account: StripeAccount, invoice: stripe.Invoice) -> None:
    note = credit(account, invoice, line_of(invoice, quantity=2))
    (line,) = plain(note)["lines"]["data"]
    assert (note.total, line["amount"], line["quantity"]) == (2000, 2000, 2)
    assert (line["unit_amount"], line["unit_amount_decimal"]) == (1000, "1000")
    assert line["description"] == next(row.description for row in invoice.lines.data if row.amount == 3000)
    assert account.v1.invoices.retrieve(invoice.id).amount_remaining == 800


def test_amount_credits_a_part_of_a_line(account: StripeAccount, invoice: stripe.Invoice) -> None:
    (line,) = credit(account, invoice, line_of(invoice) | {"amount": 123}).lines.data
    assert (line.amount, line.quantity, line.unit_amount, line.unit_amount_decimal) == (123, None, None, None)


def test_custom_line_credits_any_amount(account: StripeAccount, invoice: stripe.Invoice) -> None:
    note = credit(account, invoice, custom(metadata={"a": "b"}), line_of(invoice, quantity=1))
    own, billed = plain(note)["lines"]["data"]
    assert (own["amount"], own["description"], own["unit_amount"], own["metadata"]) == (
        300,
        "Courtesy",
        150,
        {"a": "b"},
    )
    assert "invoice_line_item" not in own
    assert (billed["type"], note.total) == ("invoice_line_item", 1300)
    assert [line.id for line in account.v1.credit_notes.line_items.list(note.id).data] == [own["id"], billed["id"]]


def test_negative_line_is_credited_by_a_negative_amount(account: StripeAccount, invoice: stripe.Invoice) -> None:
    note = credit(account, invoice, line_of(invoice, quantity=3), line_of(invoice, -200, quantity=1))
    assert (note.total, [line.amount for line in note.lines.data]) == (2800, [3000, -200])
    assert account.v1.invoices.retrieve(invoice.id).status == "paid"


def test_line_is_always_credited_by_the_same_measure(account: StripeAccount, invoice: stripe.Invoice) -> None:
    credit(account, invoice, line_of(invoice, quantity=1))
    with pytest.raises(stripe.InvalidRequestError, match="only be credited by quantity"):
        credit(account, invoice, line_of(invoice) | {"amount": 100})
    with pytest.raises(stripe.InvalidRequestError, match="exceeds"):
        credit(account, invoice, line_of(invoice, quantity=3))
    credit(account, invoice, line_of(invoice, quantity=1))


def test_lines_of_one_note_share_what_is_left(account: StripeAccount, invoice: stripe.Invoice) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="exceeds"):
        credit(account, invoice, line_of(invoice, quantity=2), line_of(invoice, quantity=2))


def test_void_note_releases_its_line(account: StripeAccount, invoice: stripe.Invoice) -> None:
    note = credit(account, invoice, line_of(invoice, quantity=1))
    account.v1.credit_notes.void_credit_note(note.id)
    assert credit(account, invoice, line_of(invoice) | {"amount": 100}).total == 100


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"quantity": 4}, "exceeds"),
        ({"quantity": -1}, "non-negative"),
        ({"quantity": 1, "amount": 1000}, "either an `amount` or a `quantity`"),
        ({}, "either an `amount` or a `quantity`"),
        ({"quantity": 1, "unit_amount": 5}, "`unit_amount` is not valid"),
        ({"quantity": 1, "invoice_line_item": "il_x"}, "No such invoice line item"),
        ({"quantity": 1, "tax_rates": ["txr_1"]}, "does not implement"),
        ({"quantity": 1, "type": "other"}, "Invalid lines"),
    ],
)
def test_impossible_lines_are_refused(
    account: StripeAccount, invoice: stripe.Invoice, more: Json, message: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=message):
        credit(account, invoice, line_of(invoice) | more)


@pytest.mark.parametrize(("amount", "credited"), [(3000, -1), (3000, 3001), (-200, 1), (-200, -201)])
def test_credit_has_the_sign_of_its_line_and_at_most_its_amount(
    account: StripeAccount, invoice: stripe.Invoice, amount: int, credited: int
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="exceeds"):
        credit(account, invoice, line_of(invoice, amount) | {"amount": credited}, custom())


@pytest.mark.parametrize("missing", ["description", "quantity", "unit_amount"])
def test_custom_line_needs_all_its_fields(account: StripeAccount, invoice: stripe.Invoice, missing: str) -> None:
    line = custom()
    del line[missing]
    with pytest.raises(stripe.InvalidRequestError, match=missing):
        credit(account, invoice, line)
    with pytest.raises(stripe.InvalidRequestError, match="`amount` is not valid"):
        credit(account, invoice, custom(amount=5))
