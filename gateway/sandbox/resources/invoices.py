"""Endpoints that read and preview invoices (https://docs.stripe.com/api/invoices)."""

from stripe.params import (
    InvoiceCreatePreviewParams,
    InvoiceLineItemListParams,
    InvoiceListParams,
    InvoicePaymentListParams,
    InvoiceRetrieveParams,
)

from gateway.sandbox.billing import preview as previews
from gateway.sandbox.billing.lines import lines_of
from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.invoice import subscription_of
from gateway.sandbox.pagination import CURSORS, in_range, page, page_of
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()
_PREVIEWED = " ".join(
    f"subscription_details[{name}]"
    for name in (
        "items][id",
        "items][price",
        "items][price_data",
        "items][quantity",
        "items][deleted",
        "items][metadata",
        "items][discounts",
        "items][tax_rates",
        "billing_cycle_anchor",
        "billing_mode",
        "cancel_at",
        "cancel_at_period_end",
        "cancel_now",
        "default_tax_rates",
        "proration_behavior",
        "proration_date",
    )
)


@routes.post(
    "/v1/invoices/create_preview",
    InvoiceCreatePreviewParams,
    f"customer subscription preview_mode automatic_tax[enabled] discounts {_PREVIEWED}",
)
def create_preview(work: Work, params: Json) -> Json:
    """Return the invoice of a proposed change or of the next renewal. Store nothing."""
    if "customer" not in params and "subscription" not in params:
        raise invalid("You must pass either `customer` or `subscription`.", code="parameter_missing", param="customer")
    if params.get("preview_mode") == "recurring":
        raise invalid("The local sandbox does not implement `preview_mode=recurring`.", param="preview_mode")
    return previews.preview(work.trial(), params)


@routes.get("/v1/invoices/{invoice}", InvoiceRetrieveParams)
def retrieve(work: Work, params: Json, invoice: str) -> Json:
    """Return an invoice with its first ten lines."""
    return work.get("invoice", invoice)


@routes.get("/v1/invoices", InvoiceListParams, f"{CURSORS} customer subscription status created collection_method")
def list_all(work: Work, params: Json) -> Json:
    """List invoices, filtered by customer, subscription, status, collection method and creation time."""
    rows = (
        row
        for row in work.select("invoice", params.get("customer"))
        if params.get("subscription") in (None, subscription_of(row))
        and params.get("status") in (None, row["status"])
        and params.get("collection_method") in (None, row["collection_method"])
        and in_range(row["created"], params.get("created"))
    )
    return page(work, rows, params, kind="invoice", url="/v1/invoices")


@routes.get("/v1/invoices/{invoice}/lines", InvoiceLineItemListParams, CURSORS)
def list_lines(work: Work, params: Json, invoice: str) -> Json:
    """List all lines in the invoice's own order."""
    work.get("invoice", invoice, param="invoice")
    return page_of(lines_of(work, invoice), params, kind="line item", url=f"/v1/invoices/{invoice}/lines")


@routes.get("/v1/invoice_payments", InvoicePaymentListParams, f"{CURSORS} invoice status payment")
def list_payments(work: Work, params: Json) -> Json:
    """List invoice payments, filtered by invoice, status and payment intent."""
    wanted = {key: params[key] for key in ("invoice", "status", "payment") if key in params}
    rows = (
        row for row in work.select("invoice_payment") if wanted.items() <= {key: row[key] for key in wanted}.items()
    )
    return page(work, rows, params, kind="invoice_payment", url="/v1/invoice_payments")
