"""What holds of every credit note."""

from tests.stateful.sandbox_money.books import Books


def check(books: Books) -> None:
    """Check that a note is the sum of its lines and of its parts.

    An invoice counts the notes that are not void.
    """
    for note in books.credit_notes.values():
        assert note["total"] == note["amount"] == sum(line["amount"] for line in note["lines"]["data"]) > 0, note
        assert note["total"] == note["pre_payment_amount"] + note["post_payment_amount"], note
    for invoice_id, invoice in books.invoices.items():
        issued = [
            note for note in books.credit_notes.values() if note["invoice"] == invoice_id and note["status"] == "issued"
        ]
        for when in ("pre", "post"):
            counted = sum(note[f"{when}_payment_amount"] for note in issued)
            assert invoice[f"{when}_payment_credit_notes_amount"] == counted, (invoice, issued)
        assert sum(note["total"] for note in issued) <= max(0, invoice["total"]), (invoice, issued)
