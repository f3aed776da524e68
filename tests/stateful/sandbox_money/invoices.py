"""Checks that hold for every invoice and for every customer's money."""

from collections import Counter

from gateway.sandbox.currencies import minimum_charge
from tests.stateful.sandbox_money.books import Books
from tests.stateful.sandbox_money.history import ObjectChange
from tests.support.json_types import Json

FINALIZED = {"open", "paid", "uncollectible"}
"""A void invoice is missing here. No customer owes it, and Stripe returns its part of the balance."""


def check_sums(books: Books) -> None:
    """Check that each invoice's total is the sum of its lines. Its other amounts follow from total and status."""
    for invoice_id, invoice in books.invoices.items():
        lines = books.lines[invoice_id]
        total = sum(line["amount"] for line in lines)
        assert {invoice["total"], invoice["subtotal"], sum(line["subtotal"] for line in lines)} == {total}, invoice
        assert invoice["lines"]["total_count"] == len(lines)
        assert {line["currency"] for line in lines} <= {invoice["currency"]}
        _check_amounts(invoice)


def _check_amounts(invoice: Json) -> None:
    due, paid, left = (invoice[f"amount_{kind}"] for kind in ("due", "paid", "remaining"))
    if invoice["status"] != "uncollectible":  # a written-off debt may be credited down to any remainder
        assert due == 0 or due >= minimum_charge(invoice["currency"]), invoice
    assert (paid, left) == ((due, 0) if invoice["status"] == "paid" else (0, due)), invoice
    if invoice["status"] == "open":
        assert due > 0, invoice
    if invoice["status_transitions"]["finalized_at"] is None:
        assert invoice["status"] in {"draft", "uncollectible"}, invoice
        assert invoice["ending_balance"] is None, invoice
    else:
        credited = invoice["pre_payment_credit_notes_amount"]
        assert invoice["total"] + invoice["starting_balance"] - credited == due + invoice["ending_balance"], invoice


def check_items(books: Books) -> None:
    """Check that each invoice item is on exactly the invoice that it names, and on none while it is pending."""
    on: dict[str, str] = {}
    for invoice_id, lines in books.lines.items():
        for line in lines:
            details = line["parent"]["subscription_item_details"] or line["parent"]["invoice_item_details"]
            if item := details["invoice_item"]:
                assert on.setdefault(item, invoice_id) == invoice_id, f"{item} is billed twice"
    for item_id, item in books.invoice_items.items():
        assert on.get(item_id) == item["invoice"], item


def check_balances(books: Books) -> None:
    """Check that each balance is the sum of its transactions, and that each invoice agrees with its transactions."""
    for customer_id, customer in books.customers.items():
        moved = books.moved[customer_id]
        assert customer["balance"] == sum(row["amount"] for row in moved), (customer, moved)
        balance = 0
        for row in reversed(moved):
            balance += row["amount"]
            assert row["ending_balance"] == balance, row
        by_invoice: Counter[str] = Counter()
        for row in moved:
            by_invoice[row["invoice"]] += row["amount"] if row["type"] != "credit_note" else 0
        for invoice in books.of(customer_id, books.invoices):
            said = (
                invoice["ending_balance"] - invoice["starting_balance"] if invoice["ending_balance"] is not None else 0
            )
            assert by_invoice[invoice["id"]] == (0 if invoice["status"] == "void" else said), (invoice, moved)


def check_money(books: Books, set_by_hand: Json) -> None:
    """Check that no money appears or vanishes.

    This equation holds for each customer over the whole history:

    totals of the finalized invoices that are not void - their credit notes + balance set by hand
    = paid by card + paid elsewhere - refunded elsewhere + owed on open and uncollectible invoices + current balance
    """
    for customer_id, customer in books.customers.items():
        invoices = [
            invoice
            for invoice in books.of(customer_id, books.invoices)
            if invoice["status"] in FINALIZED and invoice["status_transitions"]["finalized_at"]
        ]
        credited = sum(
            invoice[f"{when}_payment_credit_notes_amount"] for invoice in invoices for when in ("pre", "post")
        )
        billed = sum(invoice["total"] for invoice in invoices) - credited + set_by_hand.get(customer_id, 0)
        by_card = sum(row["amount"] for row in books.of(customer_id, books.charges) if row["status"] == "succeeded")
        intents = {intent_for(intent): intent["status"] for intent in books.of(customer_id, books.intents)}
        elsewhere = sum(row["amount_paid"] for row in invoices if intents.get(row["id"]) == "canceled")
        elsewhere -= sum(row["out_of_band_amount"] or 0 for row in books.of(customer_id, books.credit_notes))
        owed = sum(invoice["amount_remaining"] for invoice in invoices)
        assert billed == by_card + elsewhere + owed + customer["balance"], customer


def check_intents(books: Books) -> None:
    """Check that each payment has its invoice's amount, and that its card is charged at most once."""
    charged = Counter(row["payment_intent"] for row in books.charges.values() if row["status"] == "succeeded")
    for intent_id, intent in books.intents.items():
        invoice = books.invoices[intent_for(intent)]
        if intent["status"] != "canceled":  # one that a credit note made superfluous keeps its amount
            assert intent["amount"] == invoice["amount_due"], (intent, invoice)
        assert charged[intent_id] == (intent["status"] == "succeeded"), intent
        assert intent["amount_received"] == intent["amount"] * charged[intent_id], intent
        if intent["status"] in {"succeeded", "canceled"}:
            assert invoice["status"] in {"paid", "void"}, (intent, invoice)


def intent_for(intent: Json) -> str:
    """Return the invoice that an intent pays."""
    return str(intent["payment_details"]["order_reference"])


EDGES = {
    "invoice": {
        "draft": {"open", "paid", "uncollectible"},
        "open": {"paid", "void", "uncollectible"},
        "uncollectible": {"paid", "void"},
    },
    "subscription": {
        "incomplete": {"active", "incomplete_expired", "canceled"},
        "trialing": {"active", "past_due", "paused", "canceled"},
        "active": {"past_due", "unpaid", "paused", "canceled"},
        "past_due": {"active", "unpaid", "paused", "canceled"},
        "unpaid": {"active", "canceled"},
        "paused": {"active", "past_due", "canceled"},
    },
    "payment_intent": {
        "requires_payment_method": {"requires_action", "succeeded", "canceled"},
        "requires_action": {"requires_payment_method", "succeeded", "canceled"},
    },
}
"""https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses and the other objects' pages."""
_SETTLED = ("total", "amount_due", "amount_paid", "amount_remaining", "starting_balance", "ending_balance")


def check_status(change: ObjectChange) -> None:
    """Check that a status changes only along Stripe's edges, and that a paid or void invoice keeps its amounts."""
    old, new = change.before, change.after
    if old is None or old is new or new["object"] not in EDGES:
        return
    if old["status"] != new["status"]:
        assert new["status"] in EDGES[new["object"]].get(old["status"], ()), (old, new)
    elif new["object"] == "invoice" and new["status"] in {"paid", "void"}:
        assert [old[name] for name in _SETTLED] == [new[name] for name in _SETTLED], (old, new)


def check_next_try(change: ObjectChange) -> None:
    """Check that only an attempt to collect a renewal sets the next attempt, in the same event."""
    old, new = change.before, change.after
    if old and new["object"] == "invoice" and old["status"] == new["status"] == "open":
        rescheduled = new["next_payment_attempt"] not in (None, old["next_payment_attempt"])
        tried = new["attempt_count"] > old["attempt_count"] or new["billing_reason"] != "subscription_cycle"
        assert tried or not rescheduled, (old, new)
