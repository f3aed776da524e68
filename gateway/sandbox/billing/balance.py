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
