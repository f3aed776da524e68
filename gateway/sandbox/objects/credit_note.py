"""Builders of credit notes and their lines (https://docs.stripe.com/api/credit_notes/object)."""

from gateway.sandbox.json_types import Json
from gateway.sandbox.work import Work

EMBEDDED_LINES = 10
"""How many lines the credit note embeds. ``/v1/credit_notes/{id}/lines`` returns all of them."""


def build(work: Work, note_id: str, invoice: Json, lines: list[Json], params: Json, *, number: int) -> Json:
    """Return a credit note for the invoice. The caller fills in its sums and how its total is split."""
    return {
        "id": note_id,
        "object": "credit_note",
        "amount": 0,
        "amount_shipping": 0,
        "created": work.now,
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "customer_account": None,
        "customer_balance_transaction": None,
        "discount_amount": 0,
        "discount_amounts": [],
        "effective_at": params.get("effective_at", work.now),
        "invoice": invoice["id"],
        "lines": {
            "object": "list",
            "data": lines[:EMBEDDED_LINES],
            "has_more": len(lines) > EMBEDDED_LINES,
            "url": f"/v1/credit_notes/{note_id}/lines",
        },
        "livemode": False,
        "memo": params.get("memo") or None,
        "metadata": params.get("metadata") or {},
        "number": f"{invoice['number']}-CN-{number:02d}",
        "out_of_band_amount": params.get("out_of_band_amount"),
        "pdf": f"{work.url}/credit_notes/{note_id}/pdf",
        "post_payment_amount": 0,
        "pre_payment_amount": 0,
        "pretax_credit_amounts": [],
        "reason": params.get("reason"),
        "refunds": [],
        "shipping_cost": None,
        "status": "issued",
        "subtotal": 0,
        "subtotal_excluding_tax": 0,
        "total": 0,
        "total_excluding_tax": 0,
        "total_taxes": [],
        "type": "pre_payment",
        "voided_at": None,
    }


def build_line(work: Work, kind: str, *, amount: int, description: str | None, metadata: Json) -> Json:
    """Return a line that credits an amount. A line of a quantity adds the quantity and its unit amount."""
    return {
        "id": work.ids.new("cnli"),
        "object": "credit_note_line_item",
        "amount": amount,
        "description": description,
        "discount_amount": 0,
        "discount_amounts": [],
        "livemode": False,
        "metadata": metadata,
        "pretax_credit_amounts": [],
        "quantity": None,
        "tax_rates": [],
        "taxes": [],
        "type": kind,
        "unit_amount": None,
        "unit_amount_decimal": None,
    }
