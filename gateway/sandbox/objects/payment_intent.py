"""Builders of payment intents (https://docs.stripe.com/api/payment_intents/object) and of invoice payments."""

from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.payment_method import TYPES
from gateway.sandbox.work import Work

_DESCRIPTIONS = {"manual": "Payment for Invoice", "subscription_create": "Subscription creation"}


def build(work: Work, invoice: Json) -> Json:
    """Return the payment intent of a finalized invoice. It still needs a payment method."""
    intent_id = work.ids.new("pi")
    card_options = {
        "installments": None,
        "mandate_options": None,
        "network": None,
        "request_three_d_secure": "automatic",
    }
    return {
        "id": intent_id,
        "object": "payment_intent",
        "amount": invoice["amount_due"],
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic",
        "client_secret": f"{intent_id}_secret_{work.ids.text(25)}",
        "confirmation_method": "automatic",
        "created": work.now,
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "customer_account": None,
        "description": _DESCRIPTIONS.get(invoice["billing_reason"], "Subscription update"),
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_details": {"customer_reference": None, "order_reference": invoice["id"]},
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": card_options},
        "payment_method_types": list(TYPES),
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": "off_session" if invoice["parent"] else None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }


def build_payment(work: Work, invoice: Json, intent: Json) -> Json:
    """Return the open invoice payment that links an invoice to its intent.

    https://docs.stripe.com/api/invoice-payment/object
    """
    return {
        "id": work.ids.new("inpay"),
        "object": "invoice_payment",
        "amount_paid": None,
        "amount_requested": invoice["amount_due"],
        "created": work.now,
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": True,
        "livemode": False,
        "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
        "status": "open",
        "status_transitions": {"canceled_at": None, "paid_at": None},
    }
