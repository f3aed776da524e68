"""https://docs.stripe.com/api/invoiceitems."""

from stripe.params import (
    InvoiceItemCreateParams,
    InvoiceItemDeleteParams,
    InvoiceItemListParams,
    InvoiceItemRetrieveParams,
)

from gateway.sandbox.currencies import known
from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.invoice import build_item
from gateway.sandbox.pagination import CURSORS, in_range, page
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()


@routes.post(
    "/v1/invoiceitems",
    InvoiceItemCreateParams,
    "customer amount currency description metadata subscription period",
)
def create(work: Work, params: Json) -> Json:
    """An amount for the customer's next invoice."""
    customer = work.get("customer", params.get("customer", ""), param="customer", status=400)
    if "amount" not in params:
        raise invalid("Missing required param: amount.", param="amount", code="parameter_missing")
    item = build_item(
        work,
        customer=customer["id"],
        amount=params["amount"],
        currency=known(params.get("currency") or customer["currency"] or "usd"),
        description=params.get("description"),
        period=params.get("period") or {"end": work.now, "start": work.now},
    )
    parent = None
    if "subscription" in params:
        subscription = work.get("subscription", params["subscription"], param="subscription", status=400)
        details = {"subscription": subscription["id"], "subscription_item": None}
        parent = {"subscription_details": details, "type": "subscription_details"}
    return work.add(item | {"metadata": params.get("metadata") or {}, "parent": parent})


@routes.get("/v1/invoiceitems/{invoiceitem}", InvoiceItemRetrieveParams)
def retrieve(work: Work, params: Json, invoiceitem: str) -> Json:
    """An invoice item."""
    return work.get("invoiceitem", invoiceitem)


@routes.delete("/v1/invoiceitems/{invoiceitem}", InvoiceItemDeleteParams)
def delete(work: Work, params: Json, invoiceitem: str) -> Json:
    """Drop one that is on no invoice yet."""
    item = work.get("invoiceitem", invoiceitem)
    if item["invoice"]:
        raise invalid("This invoice item is already attached to an invoice and can't be deleted.")
    return work.remove(item)


@routes.get("/v1/invoiceitems", InvoiceItemListParams, f"{CURSORS} customer pending invoice created")
def list_all(work: Work, params: Json) -> Json:
    """Invoice items, newest first: an item's credit stands before its debit."""
    rows = (row for row in work.select("invoiceitem", params.get("customer")) if _listed(row, params))
    return page(work, rows, params, kind="invoiceitem", url="/v1/invoiceitems")


def _listed(row: Json, params: Json) -> bool:
    pending = params.get("pending")
    return (
        pending in (None, row["invoice"] is None)
        and params.get("invoice") in (None, row["invoice"])
        and in_range(row["date"], params.get("created"))
    )
