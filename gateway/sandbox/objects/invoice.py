"""Builders of invoices, their lines and invoice items.

https://docs.stripe.com/api/invoices/object, https://docs.stripe.com/api/invoiceitems/object
"""

from gateway.sandbox.json_types import Json
from gateway.sandbox.work import Work

EMBEDDED_LINES = 10
"""How many lines the invoice object embeds. ``/v1/invoices/{id}/lines`` returns all of them."""


def build(work: Work, customer: Json, *, invoice_id: str, currency: str, reason: str) -> Json:
    """Return an empty draft. The caller adds its lines and amounts later."""
    return {
        "id": invoice_id,
        "object": "invoice",
        "account_country": "US",
        "account_name": "Local sandbox",
        "account_tax_ids": None,
        "amount_due": 0,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_remaining": 0,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": True,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "automatically_finalizes_at": None,
        "billing_reason": reason,
        "collection_method": "charge_automatically",
        "created": work.now,
        "currency": currency,
        "custom_fields": None,
        "customer": customer["id"],
        "customer_account": None,
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": customer["shipping"],
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": [],
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "due_date": None,
        "effective_at": None,
        "ending_balance": None,
        "footer": None,
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": lines_page(invoice_id, []),
        "livemode": False,
        "metadata": {},
        "next_payment_attempt": None,
        "number": None,
        "on_behalf_of": None,
        "parent": None,
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": work.now,
        "period_start": work.now,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": 0,
        "statement_descriptor": None,
        "status": "draft",
        "status_transitions": {
            "finalized_at": None,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "subtotal": 0,
        "subtotal_excluding_tax": 0,
        "test_clock": customer["test_clock"],
        "total": 0,
        "total_discount_amounts": [],
        "total_excluding_tax": 0,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": work.now,
    }


def lines_page(invoice_id: str, lines: list[Json]) -> Json:
    """Return the list of lines that the invoice object embeds."""
    return {
        "object": "list",
        "data": lines[:EMBEDDED_LINES],
        "has_more": len(lines) > EMBEDDED_LINES,
        "total_count": len(lines),
        "url": f"/v1/invoices/{invoice_id}/lines",
    }


def parent_of(subscription: Json) -> Json:
    """Return the ``parent`` that ties an invoice to its subscription."""
    details = {"metadata": subscription["metadata"], "subscription": subscription["id"]}
    return {"quote_details": None, "subscription_details": details, "type": "subscription_details"}


def subscription_of(invoice: Json) -> str | None:
    """Return the id of the invoice's subscription, or None if it has none."""
    parent = invoice["parent"]
    return parent["subscription_details"]["subscription"] if parent else None


def is_unpaid(invoice: Json) -> bool:
    """Return whether the invoice can still be paid or voided, which an uncollectible draft never can."""
    return invoice["status"] in {"open", "uncollectible"} and invoice["ending_balance"] is not None


def build_line(
    work: Work, invoice_id: str, *, amount: int, currency: str, description: str, quantity: int, period: Json
) -> Json:
    """Return an invoice line. The caller fills in ``parent`` and ``pricing``, which name its origin."""
    return {
        "id": work.ids.new("il"),
        "object": "line_item",
        "amount": amount,
        "currency": currency,
        "description": description,
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": invoice_id,
        "livemode": False,
        "metadata": {},
        "parent": None,
        "period": period,
        "pretax_credit_amounts": [],
        "pricing": None,
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subtotal": amount,
        "taxes": [],
    }


def build_item(work: Work, *, customer: str, amount: int, currency: str, description: str | None, period: Json) -> Json:
    """Return a pending invoice item of quantity 1 without a price."""
    return {
        "id": work.ids.new("ii"),
        "object": "invoiceitem",
        "amount": amount,
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "date": work.now,
        "description": description,
        "discountable": True,
        "discounts": [],
        "frozen_fields": [],
        "invoice": None,
        "invoicing_rules": [],
        "livemode": False,
        "metadata": {},
        "parent": None,
        "period": period,
        "pricing": None,
        "proration": False,
        "quantity": 1,
        "quantity_decimal": "1",
        "tax_rates": [],
        "test_clock": work.get("customer", customer)["test_clock"],
    }


def pricing(price: Json, unit_amount: str | None) -> Json:
    """Return the ``pricing`` that names the price a line charges.

    A proration has no ``unit_amount_decimal``, as recorded from Stripe's API.
    """
    details = {"price": price["id"], "product": price["product"]}
    return {"price_details": details, "type": "price_details", "unit_amount_decimal": unit_amount}
