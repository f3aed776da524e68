"""Endpoints of invoice items (https://docs.stripe.com/api/invoiceitems)."""

from stripe.params import (
    InvoiceItemCreateParams,
    InvoiceItemDeleteParams,
    InvoiceItemListParams,
    InvoiceItemRetrieveParams,
    InvoiceItemUpdateParams,
)

from gateway.sandbox.billing import draft_items, ledger, one_time, redemption, taxes
from gateway.sandbox.currencies import known
from gateway.sandbox.errors import invalid, required
from gateway.sandbox.json_types import Json
from gateway.sandbox.metadata import merged
from gateway.sandbox.objects.invoice import build_item
from gateway.sandbox.objects.subscription import ENDED
from gateway.sandbox.pagination import CURSORS, in_range, page
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()
_FIELDS = (
    "amount description discountable discounts metadata period pricing[price] quantity tax_behavior tax_rates "
    "tax_code"  # the percentages of automatic tax depend on the country alone
)


@routes.post("/v1/invoiceitems", InvoiceItemCreateParams, f"{_FIELDS} customer currency invoice subscription")
def create(work: Work, params: Json) -> Json:
    """Add an amount, or a quantity of a one-time price, to the customer's next invoice or to a draft."""
    customer = work.get("customer", params.get("customer", ""), param="customer", status=400)
    if "pricing" not in params and "amount" not in params:
        raise required("amount")
    subscription = _subscription(work, customer, params)
    parent = one_time.tied_to(subscription) if subscription else None
    draft = draft_items.draft_for(work, params["invoice"], customer["id"]) if "invoice" in params else None
    implied = (draft or subscription or customer)["currency"] or "usd"
    item = build_item(
        work,
        customer=customer["id"],
        amount=params.get("amount", 0),
        currency=known(params.get("currency") or implied),
        description=params.get("description"),
        period=params.get("period") or {"end": work.now, "start": work.now},
    )
    item |= _priced(work, item, params) | {"metadata": params.get("metadata") or {}, "parent": parent}
    item |= {"discountable": params.get("discountable", item["amount"] >= 0)} | _terms(work, item, params)
    if subscription and item["currency"] != subscription["currency"]:
        text = f"The subscription is billed in {subscription['currency']}, and the item is in {item['currency']}."
        raise invalid(text, param="currency")
    return draft_items.put(work, draft, item) if draft else work.add(item)


def _terms(work: Work, item: Json, params: Json) -> Json:
    """Return the requested discounts and tax rates, {} for none."""
    rates = {}
    if "tax_rates" in params:
        rates["tax_rates"] = taxes.chosen(work, params["tax_rates"], "tax_rates")
    if "discounts" not in params:
        return rates
    owner = {"customer": item["customer"], "invoice_item": item["id"]}
    return rates | {"discounts": redemption.redeem(work, params["discounts"], owner, item["currency"])}


def _subscription(work: Work, customer: Json, params: Json) -> Json | None:
    """Return the subscription to bill, or None. Raise 400 if no renewal would take the item. The texts are inferred."""
    if "subscription" not in params:
        return None
    found = work.get("subscription", params["subscription"], param="subscription", status=400)
    if found["customer"] != customer["id"]:
        raise invalid("The subscription does not belong to the customer.", param="subscription")
    if found["status"] in ENDED:
        raise invalid("The subscription has ended and is billed no more.", param="subscription")
    return found


def _priced(work: Work, item: Json, params: Json) -> Json:
    """Return the fields that depend on the price and the quantity, if either is given. An amount excludes both."""
    if not params.keys() & {"pricing", "quantity"}:
        if "amount" not in params:
            return {}
        tax = _tax_behavior(work, item, params)
        return {"pricing": one_time.of_amount(work, item["amount"], item["currency"], item["description"], tax)}
    if "amount" in params or ("pricing" not in params and item["pricing"] is None):
        raise invalid("`quantity` and `pricing[price]` require each other and exclude `amount`.")  # inferred wording
    price_id = params["pricing"]["price"] if "pricing" in params else item["pricing"]["price_details"]["price"]
    quantity: int = params["quantity"] if "quantity" in params else item["quantity"]
    return one_time.priced(work, price_id, quantity, item["description"], param="pricing[price]")


def _tax_behavior(work: Work, item: Json, params: Json) -> str:
    """Return whether the amount contains the tax. An item that is changed keeps that of its price."""
    price = work.get("price", item["pricing"]["price_details"]["price"]) if item["pricing"] else {}
    return str(params.get("tax_behavior") or price.get("tax_behavior", "unspecified"))


@routes.get("/v1/invoiceitems/{invoiceitem}", InvoiceItemRetrieveParams)
def retrieve(work: Work, params: Json, invoiceitem: str) -> Json:
    """Return an invoice item."""
    return work.get("invoiceitem", invoiceitem)


@routes.post("/v1/invoiceitems/{invoiceitem}", InvoiceItemUpdateParams, _FIELDS)
def update(work: Work, params: Json, invoiceitem: str) -> Json:
    """Change the fields that are not frozen of an item that is not yet on an invoice.

    The error texts are inferred.
    """
    item = work.get("invoiceitem", invoiceitem)
    if item["invoice"]:
        raise invalid("This invoice item is already attached to an invoice and can't be updated.")
    for name in item["frozen_fields"]:
        if name in params or (name == "pricing" and "amount" in params):
            raise invalid(f"The `{name}` of this invoice item cannot be changed.", param=name)
    changes: Json = {key: params[key] for key in ("amount", "discountable", "period") if key in params}
    changes |= _terms(work, item, params)
    if "description" in params:
        changes["description"] = params["description"] or None
    if "metadata" in params:
        changes["metadata"] = merged(item["metadata"], params["metadata"])
    return work.update(item, changes | _priced(work, item | changes, params))


@routes.delete("/v1/invoiceitems/{invoiceitem}", InvoiceItemDeleteParams)
def delete(work: Work, params: Json, invoiceitem: str) -> Json:
    """Delete an item that is pending or on a draft."""
    item = work.get("invoiceitem", invoiceitem)
    if item["invoice"]:
        invoice = work.get("invoice", item["invoice"])
        if invoice["status"] != "draft":
            raise invalid("This invoice item is already attached to an invoice and can't be deleted.")
        draft_items.take_off(work, invoice, item)
    ledger.forget_pending(work, item)
    return work.remove(item)


@routes.get("/v1/invoiceitems", InvoiceItemListParams, f"{CURSORS} customer pending invoice created")
def list_all(work: Work, params: Json) -> Json:
    """List invoice items, newest first. The credit of a change precedes its debit."""
    rows = (row for row in work.select("invoiceitem", params.get("customer")) if _listed(row, params))
    return page(work, rows, params, kind="invoiceitem", url="/v1/invoiceitems")


def _listed(row: Json, params: Json) -> bool:
    pending = params.get("pending")
    return (
        pending in (None, row["invoice"] is None)
        and params.get("invoice") in (None, row["invoice"])
        and in_range(row["date"], params.get("created"))
    )
