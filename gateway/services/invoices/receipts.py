"""The receipt of a paid invoice, which Stripe keeps with the charge."""

from typing import TYPE_CHECKING

from stripe import Charge, PaymentIntent

from gateway.services.invoices.listing import get_invoice
from gateway.services.runtime import Caller, Gateway
from gateway.stripe_api.client import stripe_call

if TYPE_CHECKING:
    from stripe.params import InvoicePaymentListParams

CHARGES = ["data.payment.payment_intent.latest_charge", "data.payment.charge"]


def find_receipt_url(gateway: Gateway, caller: Caller, invoice_id: str) -> str | None:
    """Return Stripe's page of the receipt for the newest payment, or None if nothing was charged.

    The gateway asks Stripe each time, because the addresses expire. Raise NotFound or StripeUnavailable.
    https://docs.stripe.com/receipts
    """
    invoice = get_invoice(gateway, caller, invoice_id)
    if not invoice.amount_paid:
        return None
    params: InvoicePaymentListParams = {"invoice": invoice.id, "status": "paid", "limit": 100, "expand": CHARGES}
    with stripe_call():
        payments = gateway.stripe.v1.invoice_payments.list(params).data  # newest first
    for each in payments:
        intent = getattr(each.payment, "payment_intent", None)  # Stripe leaves out what the type does not have
        charge = intent.latest_charge if isinstance(intent, PaymentIntent) else getattr(each.payment, "charge", None)
        if isinstance(charge, Charge) and charge.receipt_url is not None:
            return charge.receipt_url
    return None
