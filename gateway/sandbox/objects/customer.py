"""https://docs.stripe.com/api/customers/object."""

import string

from gateway.sandbox.json_types import Json
from gateway.sandbox.work import Work

_ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")
_INVOICE_SETTINGS: Json = {
    "custom_fields": None,
    "default_payment_method": None,
    "footer": None,
    "rendering_options": None,
}


def build(work: Work, params: Json) -> Json:
    """A new customer; ``params`` as Stripe takes them, references already checked."""
    return {
        "id": params.get("id") or work.ids.new("cus"),
        "object": "customer",
        "address": address(params.get("address")),
        "balance": params.get("balance", 0),
        "created": work.now,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": params.get("description") or None,
        "discount": None,
        "email": params.get("email") or None,
        "invoice_prefix": params.get("invoice_prefix") or work.ids.text(8, string.ascii_uppercase + string.digits),
        "invoice_settings": _INVOICE_SETTINGS | params.get("invoice_settings", {}),
        "livemode": False,
        "metadata": params.get("metadata") or {},
        "name": params.get("name") or None,
        "next_invoice_sequence": 1,
        "phone": params.get("phone") or None,
        "preferred_locales": params.get("preferred_locales", []),
        "shipping": params.get("shipping") or None,
        "tax_exempt": params.get("tax_exempt") or "none",
        "test_clock": params.get("test_clock"),
    }


def address(given: Json | str | None) -> Json | None:
    """An address with all its fields, or none at all."""
    return {key: given.get(key) or None for key in _ADDRESS} if isinstance(given, dict) else None


def balance_transaction(work: Work, customer: Json, amount: int, invoice: str | None, kind: str, currency: str) -> Json:
    """https://docs.stripe.com/api/customer_balance_transactions/object: ``customer`` already has its new balance."""
    return {
        "id": work.ids.new("cbtxn"),
        "object": "customer_balance_transaction",
        "amount": amount,
        "checkout_session": None,
        "created": work.now,
        "credit_note": None,
        "currency": currency,
        "customer": customer["id"],
        "customer_account": None,
        "description": None,
        "ending_balance": customer["balance"],
        "invoice": invoice,
        "livemode": False,
        "metadata": {},
        "type": kind,
    }
