"""Paying an open invoice: the one thing that Stripe is asked for."""

import uuid

from gateway.db.models import Invoice
from gateway.errors import CardDeclined, InvoiceNotOpen, PaymentActionRequired, StripeRejected
from gateway.services.invoices.listing import get_invoice
from gateway.services.mirror.refresh import merge_answer, refresh
from gateway.services.plan_table.attribution import PAYMENT
from gateway.services.runtime import Caller, Gateway
from gateway.stripe_api.client import needs_action, stripe_call
from gateway.stripe_api.snapshots import InvoiceSnapshot

PAYABLE = ("open", "uncollectible")


def pay_invoice(gateway: Gateway, caller: Caller, invoice_id: str) -> Invoice:
    """Charge it to the default card; one that is paid already stays so, which makes a repetition harmless.

    Raises NotFound, InvoiceNotOpen, CardDeclined, PaymentActionRequired, and StripeUnavailable: then nobody knows
    whether it was charged, and the same request again does it once at most, since Stripe charges no paid invoice.
    """
    invoice = get_invoice(gateway, caller, invoice_id)
    if invoice.status in PAYABLE:
        try:
            charge_invoice(gateway, invoice)
        except StripeRejected:  # not as it is known here: perhaps it was paid a moment ago
            refresh(gateway, InvoiceSnapshot.kind, invoice.id)
            if get_invoice(gateway, caller, invoice_id).status in PAYABLE:
                raise
        invoice = get_invoice(gateway, caller, invoice_id)
    if invoice.status != "paid":
        raise InvoiceNotOpen("There is nothing to be paid on this invoice.")
    return invoice


def charge_invoice(gateway: Gateway, invoice: Invoice) -> None:
    """Make the call, with the person present who may have to approve it."""
    try:
        with stripe_call():
            # A key of its own each time, since a decline would be repeated by it; it says in the events who paid.
            key = f"{PAYMENT}{invoice.id}:{uuid.uuid4().hex}"
            answer = gateway.stripe.v1.invoices.pay(invoice.id, {"off_session": False}, {"idempotency_key": key})
    except CardDeclined as error:
        refresh(gateway, InvoiceSnapshot.kind, invoice.id)
        if needs_action(error):
            raise PaymentActionRequired(
                "The payment must be approved first.", hosted_invoice_url=invoice.hosted_invoice_url
            ) from error
        raise
    merge_answer(gateway, InvoiceSnapshot, answer, cause="invoice paid", after_revision=invoice.revision)
