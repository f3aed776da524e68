"""Builders of customers (https://docs.stripe.com/api/customers/object) and of their balance transactions."""

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
    """Return a new customer from Stripe's parameters. The caller has checked the ids that they refer to."""
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
    """Return the address with every field present, or None if none is given."""
    return {key: given.get(key) or None for key in _ADDRESS} if isinstance(given, dict) else None


def balance_transaction(work: Work, customer: Json, amount: int, invoice: str | None, kind: str, currency: str) -> Json:
    """Return a balance transaction for a customer whose balance is already updated.

    https://docs.stripe.com/api/customer_balance_transactions/object
    """
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
