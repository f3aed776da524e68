"""Endpoints of customer balance transactions (https://docs.stripe.com/api/customer_balance_transactions)."""

from stripe.params import (
    CustomerBalanceTransactionCreateParams,
    CustomerBalanceTransactionListParams,
    CustomerBalanceTransactionRetrieveParams,
)

from gateway.sandbox.currencies import known
from gateway.sandbox.errors import invalid, missing
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.customer import balance_transaction
from gateway.sandbox.pagination import CURSORS, page
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()
_KIND = "customer_balance_transaction"


@routes.post(
    "/v1/customers/{customer}/balance_transactions",
    CustomerBalanceTransactionCreateParams,
    "amount currency description metadata",
)
def create(work: Work, params: Json, customer: str) -> Json:
    """Adjust the customer's balance.

    A negative amount is credit for the customer's next invoices. The customer owes a positive amount.
    """
    found = work.get("customer", customer, param="customer")
    currency = known(params["currency"])
    if found["currency"] not in (None, currency):
        text = f"The customer's balance is in {found['currency']}, and cannot be adjusted in {currency}."  # inferred
        raise invalid(text, param="currency")
    after = work.update(found, {"balance": found["balance"] + params["amount"], "currency": currency})
    transaction = balance_transaction(work, after, params["amount"], None, "adjustment", currency)
    notes = {"description": params.get("description") or None, "metadata": params.get("metadata") or {}}
    return work.add(transaction | notes)


@routes.get("/v1/customers/{customer}/balance_transactions/{transaction}", CustomerBalanceTransactionRetrieveParams)
def retrieve(work: Work, params: Json, customer: str, transaction: str) -> Json:
    """Return one of this customer's balance transactions."""
    found = work.get(_KIND, transaction, param="transaction")
    if found["customer"] != customer:
        raise missing(_KIND, transaction, param="transaction")
    return found


@routes.get("/v1/customers/{customer}/balance_transactions", CustomerBalanceTransactionListParams, CURSORS)
def list_all(work: Work, params: Json, customer: str) -> Json:
    """List the customer's balance transactions."""
    work.get("customer", customer, param="customer")
    url = f"/v1/customers/{customer}/balance_transactions"
    return page(work, work.select(_KIND, customer), params, kind=_KIND, url=url)
