"""Credit notes, which lower what an invoice still asks for or refund paid amounts.

https://docs.stripe.com/invoicing/integration/programmatic-credit-notes. The texts of the errors are inferred. A credit
note leaves the ledger alone. So a later proration credits the same time again, as users of Stripe report.
"""

from gateway.sandbox.billing import balance, discounts, intents, invoicing, payment, refunds, taxes
from gateway.sandbox.billing.credit_note_lines import requested
from gateway.sandbox.currencies import minimum_charge
from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects import credit_note as objects
from gateway.sandbox.work import Work

_CREDITABLE = {"open", "paid", "uncollectible"}
"""Stripe documents open and paid. That uncollectible is one of them comes from users of Stripe."""
_WRONG_STATUS = "You can only create a credit note for an open, paid or uncollectible invoice. This invoice is {}."
_NOT_POSITIVE = "The total of a credit note must be positive."
_TOO_MUCH = "The credit note's total of {} is more than the {} that can still be credited on this invoice."
_WRONG_SUM = "The sum of credit, refund and out-of-band amounts must equal the post-payment amount of {}. It is {}."


def issue(work: Work, invoice: Json, params: Json) -> Json:
    """Issue a credit note.

    It first reduces the amount that is still due. The rest goes to the customer's balance or is credited outside of
    Stripe, as the SDK says of ``CreditNote.create``.
    """
    if invoice["status"] not in _CREDITABLE:
        raise invalid(_WRONG_STATUS.format(invoice["status"]), param="invoice")
    intents.refuse_processing(work, invoice)
    notes = of_invoice(work, invoice)
    earlier = [line for note in notes if note["status"] == "issued" for line in lines_of(work, note["id"])]
    lines = requested(work, invoice, earlier, params)
    note_id = work.ids.new("cn")
    note = objects.build(work, note_id, invoice, lines, params, number=len(notes) + 1) | _totals(lines)
    note |= _split(invoice, note["total"], params, _refunded_apart(work, invoice, notes))
    if params.get("refund_amount"):
        note["refunds"] = [_refund(work, invoice, params)]
    if params.get("credit_amount"):
        note["customer_balance_transaction"] = balance.credit(work, invoice, note_id, params["credit_amount"])["id"]
    work.note("credit_note_lines", note_id, {"data": lines})
    work.add(note)
    _credit(work, invoice, note)
    return note


def _totals(lines: list[Json]) -> Json:
    """Return the sums of the lines, whose amounts are before discounts and exclusive tax."""
    subtotal = sum(int(line["amount"]) for line in lines)
    off = [entry for line in lines for entry in line["discount_amounts"]]
    taxed = [tax for line in lines for tax in line["taxes"]]
    net, included = subtotal - discounts.total(off), taxes.total(taxed, "inclusive")
    total = net + taxes.total(taxed, "exclusive")
    return {
        "amount": total,
        "discount_amount": discounts.total(off),
        "discount_amounts": discounts.combined(off),
        "pretax_credit_amounts": [entry | {"type": "discount"} for entry in discounts.combined(off)],
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal - included,
        "total": total,
        "total_excluding_tax": net - included,
        "total_taxes": taxes.combined(taxed),
    }


def _split(invoice: Json, total: int, params: Json, refunded: int) -> Json:
    """Return how much of the total is still due, how much was paid, and the type that follows. Raise 400 for excess."""
    creditable = invoice["total"] - _credited(invoice) - refunded
    if total <= 0:
        raise invalid(_NOT_POSITIVE, param="amount")
    if total > creditable:
        raise invalid(_TOO_MUCH.format(total, creditable), param="amount")
    due = min(total, invoice["amount_remaining"])
    given = sum(params.get(f"{way}_amount", 0) for way in ("credit", "out_of_band", "refund"))
    if given != total - due:
        raise invalid(_WRONG_SUM.format(total - due, given), param="credit_amount")
    kind = "mixed" if 0 < due < total else "pre_payment" if due else "post_payment"
    return {"post_payment_amount": total - due, "pre_payment_amount": due, "type": kind}


def _refund(work: Work, invoice: Json, params: Json) -> Json:
    charge = refunds.charge_of(work, invoice)
    if charge is None:
        raise invalid("No charge paid this invoice, so nothing can be refunded.", param="refund_amount")
    made = refunds.refund(work, charge, {"amount": params["refund_amount"]})
    return {"amount_refunded": made["amount"], "refund": made["id"], "type": "refund"}


def _refunded_apart(work: Work, invoice: Json, notes: list[Json]) -> int:
    """Return what was refunded without a credit note. It can no longer be credited, as the SDK says."""
    charge = refunds.charge_of(work, invoice)
    by_notes = sum(entry["amount_refunded"] for note in notes for entry in note["refunds"])
    return int(charge["amount_refunded"]) - by_notes if charge else 0


def _credited(invoice: Json) -> int:
    return int(invoice["pre_payment_credit_notes_amount"] + invoice["post_payment_credit_notes_amount"])


def _credit(work: Work, invoice: Json, note: Json) -> None:
    """Apply the note to its invoice, which is paid once nothing is left to pay.

    That an uncollectible invoice becomes paid too is an inference.
    """
    due, paid = note["pre_payment_amount"], note["post_payment_amount"]
    changes = {
        "post_payment_credit_notes_amount": invoice["post_payment_credit_notes_amount"] + paid,
    } | _due_changes(invoice, -due)
    left = invoice["amount_remaining"] - due
    if invoice["status"] == "open" and 0 < left < minimum_charge(invoice["currency"]):
        balance.carry_over(work, invoice, left)
        changes |= {"amount_due": 0, "amount_remaining": 0, "ending_balance": invoice["ending_balance"] + left}
        left = 0
    if left or invoice["status"] == "paid":
        intents.follow_amount(work, work.update(invoice, changes))
        return
    intents.cancel(work, invoice["id"], "automatic")  # Stripe's own reason was not recorded
    credited = work.amend(invoice, changes)
    settled = invoicing.mark_paid(work, credited, attempts=0, charged=0, attempted=invoice["attempted"])
    payment.follow_up(work, settled, None)


def _due_changes(invoice: Json, change: int) -> Json:
    """Return the fields that follow when credit notes change the amount due."""
    return {
        "amount_due": invoice["amount_due"] + change,
        "amount_remaining": invoice["amount_remaining"] + change,
        "pre_payment_credit_notes_amount": invoice["pre_payment_credit_notes_amount"] - change,
    }


def void(work: Work, note: Json) -> Json:
    """Void a credit note on an open invoice, which asks for the full amount again.

    Every credit note on an open invoice is of the type ``pre_payment``. The others leave nothing due.
    """
    invoice = work.get("invoice", note["invoice"])
    if note["status"] != "issued":
        raise invalid("This credit note is already void.")
    if invoice["status"] != "open":
        raise invalid("You can only void a credit note on an open invoice. This invoice isn't open.")
    voided = work.update(note, {"status": "void", "voided_at": work.now}, "credit_note.voided")
    intents.follow_amount(work, work.update(invoice, _due_changes(invoice, note["pre_payment_amount"])))
    return voided


def of_invoice(work: Work, invoice: Json) -> list[Json]:
    """Return the invoice's credit notes, newest first."""
    return [note for note in work.select("credit_note", invoice["customer"]) if note["invoice"] == invoice["id"]]


def lines_of(work: Work, note_id: str) -> list[Json]:
    """Return all lines of a credit note. The credit note itself carries only the first ten."""
    lines: list[Json] = (work.recall("credit_note_lines", note_id) or {"data": []})["data"]
    return lines
