"""Endpoints that finalize, pay, void, write off and send an invoice (https://docs.stripe.com/api/invoices)."""

from stripe.params import (
    InvoiceFinalizeInvoiceParams,
    InvoiceMarkUncollectibleParams,
    InvoicePayParams,
    InvoiceSendInvoiceParams,
    InvoiceVoidInvoiceParams,
)

from gateway.sandbox.billing import intents, invoicing, payment, uncollectible, usage
from gateway.sandbox.billing.void import void as void_open
from gateway.sandbox.errors import StripeError, card_error, invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.invoice import is_unpaid, subscription_of
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()
_NEEDS_ACTION = (
    "This payment requires additional user action before it can be completed successfully. Payment can be completed "
    "using the PaymentIntent associated with this invoice. For more details see: "
    "https://stripe.com/docs/billing/subscriptions/overview#requires-action"
)


@routes.post("/v1/invoices/{invoice}/finalize", InvoiceFinalizeInvoiceParams, "auto_advance")
def finalize(work: Work, params: Json, invoice: str) -> Json:
    """Finalize a draft, which numbers and opens it."""
    found = work.get("invoice", invoice, param="invoice")
    if found["status"] != "draft":
        raise invalid("This invoice is already finalized, you can't re-finalize a non-draft invoice.")
    advances = params.get("auto_advance", found["auto_advance"])
    charged = advances and found["collection_method"] == "charge_automatically"
    collect_at = work.now + invoicing.DRAFT_SECONDS if charged else None  # no recording confirms the hour
    counted = usage.refresh(work, found) | {"auto_advance": advances}
    return invoicing.finalize(work, counted, collect_at=collect_at)


@routes.post("/v1/invoices/{invoice}/pay", InvoicePayParams, "payment_method paid_out_of_band off_session")
def pay(work: Work, params: Json, invoice: str) -> Json:
    """Charge the invoice immediately and finalize it first if it is a draft.

    A decline is a 402 that leaves the invoice unpaid. A bank debit leaves it open until the bank answers. An
    uncollectible invoice can be paid too
    (https://docs.stripe.com/invoicing/overview#uncollectible).
    """
    found = work.get("invoice", invoice, param="invoice")
    if found["status"] == "paid":
        raise invalid("Invoice is already paid")
    if found["status"] == "draft":
        found = invoicing.finalize(work, usage.refresh(work, found))
    if found["status"] == "paid":
        return found
    if not is_unpaid(found):
        raise invalid("You can only pay open invoices. This invoice isn't open.")
    intents.refuse_processing(work, found)
    if params.get("paid_out_of_band"):
        return payment.settle_elsewhere(work, found)
    card = _card(work, found, params.get("payment_method"))
    charged = payment.charge(work, found, card, automatic=False, on_session=not params.get("off_session", True))
    if charged["status"] != "paid" and not intents.is_processing(work, invoice):
        work.fail(_payment_failure(work, charged))
    return charged


def _card(work: Work, invoice: Json, given: str | None) -> Json:
    if given is None:
        subscription_id = subscription_of(invoice)
        subscription = work.find("subscription", subscription_id) if subscription_id else None
        return payment.card_for(work, subscription, invoice["customer"])
    card = work.get("payment_method", given, param="payment_method", status=400)
    if card["customer"] != invoice["customer"]:
        raise invalid("The payment method must be attached to the customer of the invoice.", param="payment_method")
    return card


def _payment_failure(work: Work, invoice: Json) -> StripeError:
    intent = intents.intent_of(work, invoice["id"]) or {}
    if intent["status"] == "requires_action":
        return card_error("invoice_payment_intent_requires_action", _NEEDS_ACTION)
    return payment.last_error(intent)


@routes.post("/v1/invoices/{invoice}/void", InvoiceVoidInvoiceParams)
def void(work: Work, params: Json, invoice: str) -> Json:
    """Void the invoice, so that the customer no longer owes it."""
    return void_open(work, work.get("invoice", invoice, param="invoice"))


@routes.post("/v1/invoices/{invoice}/mark_uncollectible", InvoiceMarkUncollectibleParams)
def mark_uncollectible(work: Work, params: Json, invoice: str) -> Json:
    """Mark an open invoice as uncollectible."""
    found = work.get("invoice", invoice, param="invoice")
    if found["status"] != "open":
        raise invalid("You can only pass in open invoices. This invoice isn't open.")
    intents.refuse_processing(work, found)
    return uncollectible.mark(work, found, "user_forgiven")


@routes.post("/v1/invoices/{invoice}/send", InvoiceSendInvoiceParams)
def send(work: Work, params: Json, invoice: str) -> Json:
    """Mail the invoice and finalize it first if it is a draft.

    Stripe mails nothing in test mode and only creates the event. The error texts are inferred.
    """
    found = work.get("invoice", invoice, param="invoice")
    if found["collection_method"] != "send_invoice":
        raise invalid("You can only manually send an invoice if its collection method is 'send_invoice'.")
    if found["status"] == "draft":
        found = invoicing.finalize(work, usage.refresh(work, found))
    if found["status"] not in {"open", "paid"}:
        raise invalid("You can only send open or paid invoices.")
    work.tell("invoice.sent", found)
    return found
