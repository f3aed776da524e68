"""Builder of refunds (https://docs.stripe.com/api/refunds/object)."""

from gateway.sandbox.json_types import Json
from gateway.sandbox.work import Work


def build(work: Work, charge: Json, amount: int, params: Json) -> Json:
    """Return a refund of a charge, which succeeds immediately."""
    card = {"reference": None, "reference_status": "pending", "reference_type": "acquirer_reference_number"}
    by_card = charge["payment_method_details"]["type"] == "card"
    return {
        "id": work.ids.new("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": work.now,
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": {"card": card | {"type": "refund"}, "type": "card"} if by_card else None,
        "metadata": params.get("metadata") or {},
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": params.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }
