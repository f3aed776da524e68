"""A customer's balance, which each movement leaves a transaction of.

Negative is credit (https://docs.stripe.com/billing/customer/balance).
"""

from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.customer import balance_transaction
from gateway.sandbox.work import Work


def moved(work: Work, before: int, customer: Json, kind: str, currency: str, invoice: str | None = None) -> None:
    """Note that the balance was ``before``, and is now what the ``customer`` says."""
    amount = customer["balance"] - before
    if amount:
        work.add(balance_transaction(work, customer, amount, invoice, kind, currency))


def set_by_request(work: Work, before: int, customer: Json, kind: str) -> None:
    """As ``moved()``, where no invoice says which currency: the customer's, else that of most accounts."""
    moved(work, before, customer, kind, customer["currency"] or "usd")


def give_back(work: Work, invoice: Json) -> None:
    """What a void invoice took from the balance, or gave to it, is undone.

    https://docs.stripe.com/changelog/2019-12-03/customer-balances-returned-voided-invoices
    """
    customer = work.find("customer", invoice["customer"])
    if customer:
        balance = customer["balance"] + invoice["starting_balance"] - invoice["ending_balance"]
        after = work.update(customer, {"balance": balance})
        moved(work, customer["balance"], after, "unapplied_from_invoice", invoice["currency"], invoice["id"])
