"""Builder of disputes (https://docs.stripe.com/api/disputes/object)."""

from gateway.sandbox.json_types import Json
from gateway.sandbox.settings import DAY
from gateway.sandbox.work import Work

_DAYS_TO_RESPOND = 10
NO_EVIDENCE: Json = {
    "access_activity_log": None,
    "billing_address": None,
    "cancellation_policy": None,
    "cancellation_policy_disclosure": None,
    "cancellation_rebuttal": None,
    "customer_communication": None,
    "customer_email_address": None,
    "customer_name": None,
    "customer_purchase_ip": None,
    "customer_signature": None,
    "duplicate_charge_documentation": None,
    "duplicate_charge_explanation": None,
    "duplicate_charge_id": None,
    "enhanced_evidence": {},
    "product_description": None,
    "receipt": None,
    "refund_policy": None,
    "refund_policy_disclosure": None,
    "refund_refusal_explanation": None,
    "service_date": None,
    "service_documentation": None,
    "shipping_address": None,
    "shipping_carrier": None,
    "shipping_date": None,
    "shipping_documentation": None,
    "shipping_tracking_number": None,
    "uncategorized_file": None,
    "uncategorized_text": None,
}


def build(work: Work, charge: Json, amount: int, reason: str) -> Json:
    """Return a dispute of a card charge that waits for a response."""
    brand = charge["payment_method_details"]["card"]["brand"]
    card = {"brand": brand, "case_type": "chargeback", "network": brand, "network_reason_code": "10.4"}
    return {
        "id": work.ids.new("du"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": work.now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": NO_EVIDENCE,
        "evidence_details": {
            "due_by": work.now + _DAYS_TO_RESPOND * DAY,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "intended_submission_method": None,
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "network_reason_code": "10.4",
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {"card": card, "type": "card"},
        "reason": reason,
        "status": "needs_response",
    }
