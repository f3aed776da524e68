"""A customer's balance, with a transaction for each movement.

A negative balance is credit (https://docs.stripe.com/billing/customer/balance).
"""

from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.customer import balance_transaction
from gateway.sandbox.work import Work


def moved(work: Work, before: int, customer: Json, kind: str, currency: str, invoice: str | None = None) -> None:
    """Add the transaction that moved the balance from ``before`` to what ``customer`` has now."""
    amount = customer["balance"] - before
    if amount:
        work.add(balance_transaction(work, customer, amount, invoice, kind, currency))


def set_by_request(work: Work, before: int, customer: Json, kind: str) -> None:
    """Add the transaction of a movement without an invoice, in the customer's currency or else in usd."""
    moved(work, before, customer, kind, customer["currency"] or "usd")


def give_back(work: Work, invoice: Json) -> None:
    """Undo the effect of a voided invoice on the balance.

    https://docs.stripe.com/changelog/2019-12-03/customer-balances-returned-voided-invoices
    """
    customer = work.find("customer", invoice["customer"])
    if customer:
        balance = customer["balance"] + invoice["starting_balance"] - invoice["ending_balance"]
        after = work.update(customer, {"balance": balance})
        moved(work, customer["balance"], after, "unapplied_from_invoice", invoice["currency"], invoice["id"])


def credit(work: Work, invoice: Json, note_id: str, amount: int) -> Json:
    """Credit the amount of a credit note to the customer, and return the transaction."""
    customer = work.get("customer", invoice["customer"])
    after = work.update(customer, {"balance": customer["balance"] - amount})
    transaction = balance_transaction(work, after, -amount, invoice["id"], "credit_note", invoice["currency"])
    return work.add(transaction | {"credit_note": note_id})


def carry_over(work: Work, invoice: Json, amount: int) -> None:
    """Move a remainder that is too small for a card to the balance.

    Stripe documents this for every open invoice (https://docs.stripe.com/invoicing/overview#open). That it also does so
    after a credit note is an inference.
    """
    customer = work.get("customer", invoice["customer"])
    after = work.update(customer, {"balance": customer["balance"] + amount})
    moved(work, customer["balance"], after, "invoice_too_small", invoice["currency"], invoice["id"])
