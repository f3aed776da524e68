"""https://docs.stripe.com/api/invoices."""

from stripe.params import (
    InvoiceCreatePreviewParams,
    InvoiceFinalizeInvoiceParams,
    InvoiceLineItemListParams,
    InvoiceListParams,
    InvoicePaymentListParams,
    InvoicePayParams,
    InvoiceRetrieveParams,
    InvoiceVoidInvoiceParams,
)

from gateway.sandbox.billing import intents, invoicing, payment, usage
from gateway.sandbox.billing import preview as previews
from gateway.sandbox.billing.lines import lines_of
from gateway.sandbox.billing.void import void as void_open
from gateway.sandbox.errors import StripeError, card_error, invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.invoice import subscription_of
from gateway.sandbox.pagination import CURSORS, in_range, page, page_of
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()
_NEEDS_ACTION = (
    "This payment requires additional user action before it can be completed successfully. Payment can be completed "
    "using the PaymentIntent associated with this invoice. For more details see: "
    "https://stripe.com/docs/billing/subscriptions/overview#requires-action"
)
_PREVIEWED = " ".join(
    f"subscription_details[{name}]"
    for name in (
        "items][id",
        "items][price",
        "items][quantity",
        "items][deleted",
        "items][metadata",
        "billing_cycle_anchor",
        "billing_mode",
        "cancel_at",
        "cancel_at_period_end",
        "cancel_now",
        "proration_behavior",
        "proration_date",
    )
)


@routes.post(
    "/v1/invoices/create_preview",
    InvoiceCreatePreviewParams,
    f"customer subscription preview_mode {_PREVIEWED}",
)
def create_preview(work: Work, params: Json) -> Json:
    """What a change would cost, or the next renewal. Nothing of it is kept."""
    if "customer" not in params and "subscription" not in params:
        raise invalid("You must pass either `customer` or `subscription`.", code="parameter_missing", param="customer")
    if params.get("preview_mode") == "recurring":
        raise invalid("The local sandbox does not implement `preview_mode=recurring`.", param="preview_mode")
    return previews.preview(work.trial(), params)


@routes.get("/v1/invoices/{invoice}", InvoiceRetrieveParams)
def retrieve(work: Work, params: Json, invoice: str) -> Json:
    """An invoice with its first ten lines."""
    return work.get("invoice", invoice)


@routes.get("/v1/invoices", InvoiceListParams, f"{CURSORS} customer subscription status created collection_method")
def list_all(work: Work, params: Json) -> Json:
    """Invoices, by customer, subscription, status."""
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
    """All lines, in the invoice's own order."""
    work.get("invoice", invoice, param="invoice")
    return page_of(lines_of(work, invoice), params, kind="line item", url=f"/v1/invoices/{invoice}/lines")


@routes.post("/v1/invoices/{invoice}/finalize", InvoiceFinalizeInvoiceParams, "auto_advance")
def finalize(work: Work, params: Json, invoice: str) -> Json:
    """Number and open a draft."""
    found = work.get("invoice", invoice, param="invoice")
    if found["status"] != "draft":
        raise invalid("This invoice is already finalized, you can't re-finalize a non-draft invoice.")
    return invoicing.finalize(work, usage.refresh(work, found))


@routes.post("/v1/invoices/{invoice}/pay", InvoicePayParams, "payment_method paid_out_of_band off_session")
def pay(work: Work, params: Json, invoice: str) -> Json:
    """Charge it now. A draft is finalized first. A decline is a 402 that leaves the invoice open."""
    found = work.get("invoice", invoice, param="invoice")
    if found["status"] == "paid":
        raise invalid("Invoice is already paid")
    if found["status"] == "draft":
        found = invoicing.finalize(work, usage.refresh(work, found))
    if found["status"] == "paid":
        return found
    if found["status"] != "open":
        raise invalid("You can only pay open invoices. This invoice isn't open.")
    if params.get("paid_out_of_band"):
        return payment.settle_elsewhere(work, found)
    card = _card(work, found, params.get("payment_method"))
    tried = payment.charge(work, found, card, automatic=False, on_session=not params.get("off_session", True))
    if tried["status"] == "open":
        work.fail(_why(work, tried))
    return tried


def _card(work: Work, invoice: Json, given: str | None) -> Json:
    if given is None:
        subscription_id = subscription_of(invoice)
        subscription = work.find("subscription", subscription_id) if subscription_id else None
        return payment.card_for(work, subscription, invoice["customer"])
    card = work.get("payment_method", given, param="payment_method", status=400)
    if card["customer"] != invoice["customer"]:
        raise invalid("The payment method must be attached to the customer of the invoice.", param="payment_method")
    return card


def _why(work: Work, invoice: Json) -> StripeError:
    intent = intents.intent_of(work, invoice["id"]) or {}
    if intent["status"] == "requires_action":
        return card_error("invoice_payment_intent_requires_action", _NEEDS_ACTION)
    return payment.last_error(intent)


@routes.post("/v1/invoices/{invoice}/void", InvoiceVoidInvoiceParams)
def void(work: Work, params: Json, invoice: str) -> Json:
    """Make it void: nobody owes it any more."""
    return void_open(work, work.get("invoice", invoice, param="invoice"))


@routes.get("/v1/invoice_payments", InvoicePaymentListParams, f"{CURSORS} invoice status payment")
def list_payments(work: Work, params: Json) -> Json:
    """How invoices are paid: by invoice, or by the payment intent."""
    wanted = {key: params[key] for key in ("invoice", "status", "payment") if key in params}
    rows = (
        row for row in work.select("invoice_payment") if wanted.items() <= {key: row[key] for key in wanted}.items()
    )
    return page(work, rows, params, kind="invoice_payment", url="/v1/invoice_payments")
