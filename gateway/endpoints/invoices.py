"""The resource ``/v1/invoices``."""

from typing import Any

from gateway import errors
from gateway.db.models import Invoice
from gateway.endpoints import examples
from gateway.endpoints.apidoc import FROM_STRIPE, operation, path_id
from gateway.endpoints.blueprint import Blueprint
from gateway.endpoints.limits import limited
from gateway.endpoints.request_context import caller, gateway, requires
from gateway.services.invoices import listing, payment, receipts
from gateway.services.rate_limits.table import RouteClass
from schemas.invoices import (
    DetailedInvoiceSchema,
    InvoiceListSchema,
    InvoiceQuerySchema,
    InvoiceSchema,
    ReceiptSchema,
)

blueprint = Blueprint("invoices", __name__, url_prefix="/v1/invoices", description="The organization's invoices")


@blueprint.get("")
@requires("billing:read")
@operation("listInvoices", errors.NotFound)
@limited(RouteClass.READ)
@blueprint.arguments(InvoiceQuerySchema, location="query")
@blueprint.response(200, InvoiceListSchema)
def list_invoices(query: dict[str, Any]) -> listing.InvoicePage:
    """List the invoices, newest first. Of the drafts, only those that keep a subscription `unpaid` are listed."""
    return listing.load_page(gateway(), caller(), limit=query["limit"], starting_after=query.get("starting_after"))


@blueprint.get("/<invoice_id>", parameters=path_id("invoice_id", examples.INVOICE_ID))
@requires("billing:read")
@operation("getInvoice", *FROM_STRIPE)
@limited(RouteClass.STRIPE)
@blueprint.response(200, DetailedInvoiceSchema)
def show(invoice_id: str) -> Invoice:
    """Return one invoice with its lines."""
    return listing.get_detailed_invoice(gateway(), caller(), invoice_id)


@blueprint.get("/<invoice_id>/receipt", parameters=path_id("invoice_id", examples.INVOICE_ID))
@requires("billing:read")
@operation("getReceipt", *FROM_STRIPE)
@limited(RouteClass.STRIPE)
@blueprint.response(200, ReceiptSchema)
def show_receipt(invoice_id: str) -> dict[str, str | None]:
    """Return the page of the receipt for the newest payment."""
    return {"receipt_url": receipts.find_receipt_url(gateway(), caller(), invoice_id)}


@blueprint.post("/<invoice_id>/pay", parameters=path_id("invoice_id", examples.INVOICE_ID))
@requires("billing:write")
@operation(
    "payInvoice",
    *FROM_STRIPE,
    errors.CardDeclined,
    errors.ChangeInProgress,
    errors.InvoiceNotOpen,
    errors.PaymentActionRequired,
    errors.PaymentMethodRequired,
)
@limited(RouteClass.PAY)
@blueprint.response(200, InvoiceSchema)
def pay(invoice_id: str) -> Invoice:
    """Charge an invoice to the default payment method. A paid invoice is returned unchanged."""
    return payment.pay_invoice(gateway(), caller(), invoice_id)
