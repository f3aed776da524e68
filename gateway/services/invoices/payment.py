"""Pay an open invoice. This is the only part of the invoices that calls Stripe."""

import uuid

from gateway.db.models import Invoice
from gateway.errors import CardDeclined, InvoiceNotOpen, PaymentActionRequired, StripeRejected
from gateway.services.invoices.listing import get_invoice
from gateway.services.mirror.refresh import merge_answer, refresh
from gateway.services.plan_table.attribution import PAYMENT_KEY_PREFIX
from gateway.services.rate_limits.card_testing import refuse_after_declines
from gateway.services.runtime import Caller, Gateway
from gateway.stripe_api.client import needs_action, stripe_call
from gateway.stripe_api.snapshots import InvoiceSnapshot

PAYABLE = ("open", "uncollectible")


def pay_invoice(gateway: Gateway, caller: Caller, invoice_id: str) -> Invoice:
    """Charge an open invoice to the default card and return it. Return a paid invoice as it is.

    Raise NotFound, InvoiceNotOpen, CardDeclined, PaymentActionRequired or StripeUnavailable. Raise RateLimited after
    too many declines.

    After StripeUnavailable the gateway does not know whether Stripe charged the card. Repeating the request is safe,
    because Stripe never charges a paid invoice. After PaymentActionRequired the customer approves the payment on
    Stripe's page, and ``webhooks.drain.drain`` merges the webhook of the paid invoice.
    """
    invoice = get_invoice(gateway, caller, invoice_id)
    if invoice.status in PAYABLE:
        try:
            with refuse_after_declines(gateway, caller.organization_id):
                charge_invoice(gateway, invoice)
        except StripeRejected:  # the mirror may be out of date, because the invoice was paid a moment ago
            refresh(gateway, InvoiceSnapshot.kind, invoice.id)
            if get_invoice(gateway, caller, invoice_id).status in PAYABLE:
                raise
        invoice = get_invoice(gateway, caller, invoice_id)
    if invoice.status != "paid":
        raise InvoiceNotOpen("There is nothing to pay on this invoice.")
    return invoice


def charge_invoice(gateway: Gateway, invoice: Invoice) -> None:
    """Charge the invoice at Stripe. The person who may have to approve the payment is present."""
    try:
        with stripe_call():
            # Each attempt uses a new key, because Stripe would repeat a decline under the old one. The prefix tells
            # ``attribution`` that a user paid, because Stripe's events contain the key.
            key = f"{PAYMENT_KEY_PREFIX}{invoice.id}:{uuid.uuid4().hex}"
            answer = gateway.stripe.v1.invoices.pay(invoice.id, {"off_session": False}, {"idempotency_key": key})
    except CardDeclined as error:
        refresh(gateway, InvoiceSnapshot.kind, invoice.id)
        if needs_action(error):
            raise PaymentActionRequired(
                "The payment needs the cardholder's approval first.", hosted_invoice_url=invoice.hosted_invoice_url
            ) from error
        raise
    merge_answer(gateway, InvoiceSnapshot, answer, cause="invoice paid", after_revision=invoice.revision)
