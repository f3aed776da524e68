"""Endpoints that create, change and delete one-off invoices (https://docs.stripe.com/api/invoices)."""

from stripe.params import InvoiceCreateParams, InvoiceDeleteParams, InvoiceUpdateParams

from gateway.sandbox.billing import manual
from gateway.sandbox.errors import invalid, required
from gateway.sandbox.json_types import Json
from gateway.sandbox.metadata import merged
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()
_FIELDS = (
    "auto_advance automatic_tax[enabled] collection_method days_until_due default_tax_rates description discounts "
    "metadata"
)
_ALWAYS_EDITABLE = {"expand", "metadata"}


@routes.post(
    "/v1/invoices", InvoiceCreateParams, f"{_FIELDS} customer subscription currency pending_invoice_items_behavior"
)
def create(work: Work, params: Json) -> Json:
    """Create a draft for a customer or for one of its subscriptions."""
    subscription = None
    if "subscription" in params:
        subscription = work.get("subscription", params["subscription"], param="subscription", status=400)
        params = {"customer": subscription["customer"], "currency": subscription["currency"]} | params
    if "customer" not in params:
        raise required("customer")
    customer = work.get("customer", params["customer"], param="customer", status=400)
    if subscription and subscription["customer"] != customer["id"]:
        raise invalid("The subscription does not belong to the customer.", param="subscription")
    return manual.create(work, customer, subscription, params)


@routes.post("/v1/invoices/{invoice}", InvoiceUpdateParams, _FIELDS)
def update(work: Work, params: Json, invoice: str) -> Json:
    """Change a draft, or the metadata of a finalized invoice (as recorded from Stripe's API, 2026-08-26.dahlia)."""
    found = work.get("invoice", invoice)
    if found["status"] != "draft" and params.keys() - _ALWAYS_EDITABLE:
        raise invalid("Finalized invoices can't be updated in this way.")  # inferred wording
    changes: Json = {}
    if "description" in params:
        changes["description"] = params["description"] or None
    if "metadata" in params:
        changes["metadata"] = merged(found["metadata"], params["metadata"])
    if params.keys() & set(manual.COLLECTION):
        changes |= manual.collected(work, found, params)
    if params.keys() & manual.PRICING:
        changes |= manual.reprice(work, found, params)
    return work.update(found, changes)


@routes.delete("/v1/invoices/{invoice}", InvoiceDeleteParams)
def delete(work: Work, params: Json, invoice: str) -> Json:
    """Delete a one-off draft."""
    return manual.delete(work, work.get("invoice", invoice))
