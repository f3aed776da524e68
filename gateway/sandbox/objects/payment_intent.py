"""The view of an invoice's payment that a browser needs (https://docs.stripe.com/api/payment_intents/object)."""

from gateway.sandbox.json_types import Json

_STATUS = {"paid": "succeeded", "void": "canceled", "uncollectible": "canceled"}


def view(invoice: Json, intent: Json, attempt: Json | None) -> Json:
    """The payment intent of a finalized invoice, worked out from the invoice and its last ``attempt``."""
    waits = bool(attempt and attempt["needs_action"])
    status = _STATUS.get(invoice["status"], "requires_action" if waits else "requires_payment_method")
    return {
        "id": intent["id"],
        "object": "payment_intent",
        "amount": invoice["amount_due"],
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": invoice["amount_paid"],
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": invoice["status_transitions"]["voided_at"],
        "cancellation_reason": None,
        "capture_method": "automatic",
        "client_secret": intent["client_secret"],
        "confirmation_method": "automatic",
        "created": invoice["effective_at"],
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": {},
        "next_action": {"type": "use_stripe_sdk", "use_stripe_sdk": {}} if status == "requires_action" else None,
        "on_behalf_of": None,
        "payment_method": attempt["card"] if attempt and status != "requires_payment_method" else None,
        "payment_method_configuration_details": None,
        "payment_method_options": None,
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": "off_session",
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": status,
        "transfer_data": None,
        "transfer_group": None,
    }
