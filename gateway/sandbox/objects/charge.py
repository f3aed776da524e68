"""Builder of charges (https://docs.stripe.com/api/charges/object)."""

from gateway.sandbox.json_types import Json
from gateway.sandbox.objects import bank_accounts
from gateway.sandbox.objects.special_cards import Decline
from gateway.sandbox.work import Work

_AUTHENTICATED = {
    "authentication_flow": "challenge",
    "electronic_commerce_indicator": "05",
    "exemption_indicator": None,
    "result": "authenticated",
    "result_reason": None,
    "transaction_id": None,
    "version": "2.2.0",
}
_DECLINED_MESSAGE = "The bank did not return any further details with this decline."


def build(work: Work, intent: Json, card: Json, decline: Decline | None, *, approved: bool) -> Json:
    """Return the charge for one attempt to take an intent's amount from a payment method.

    The bank declined it if ``decline`` is given. ``approved`` says whether the holder passed 3D Secure.
    """
    taken = 0 if decline else intent["amount"]
    charge_id = work.ids.new("ch")
    details = _details(card, intent["amount"], taken, approved=approved)
    return {
        "id": charge_id,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": taken,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": card["billing_details"],
        "calculated_statement_descriptor": "LOCAL SANDBOX",
        "captured": decline is None,
        "created": work.now,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": decline.code if decline else None,
        "failure_message": decline.message if decline else None,
        "fraud_details": {},
        "livemode": False,
        "metadata": {},
        "on_behalf_of": None,
        "outcome": _outcome(decline),
        "paid": decline is None,
        "payment_intent": intent["id"],
        "payment_method": card["id"],
        "payment_method_details": {card["type"]: details, "type": card["type"]},
        "radar_options": {},
        "receipt_email": None,
        "receipt_number": None,
        "receipt_url": None if decline else f"{work.url}/receipts/{charge_id}",
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "failed" if decline else "succeeded",
        "transfer_data": None,
        "transfer_group": None,
    }


def processing(charge: Json) -> Json:
    """Return the fields of a debit that its bank has not answered yet. Stripe counts it as captured, by inference."""
    return {"paid": False, "status": "pending", "amount_captured": charge["amount"]}


def answered(charge: Json, decline: Decline | None) -> Json:
    """Return the fields of a debit once its bank has answered."""
    return {
        "amount_captured": 0 if decline else charge["amount"],
        "captured": decline is None,
        "failure_code": decline.code if decline else None,
        "failure_message": decline.message if decline else None,
        "outcome": _outcome(decline),
        "paid": decline is None,
        "status": "failed" if decline else "succeeded",
    }


def _outcome(decline: Decline | None) -> Json:
    return {
        "advice_code": decline.advice_code if decline else None,
        "network_advice_code": None,
        "network_decline_code": decline.network_decline_code if decline else None,
        "network_status": "declined_by_network" if decline else "approved_by_network",
        "reason": (decline.decline_code or decline.code) if decline else None,
        "risk_level": "normal",
        "risk_score": 0,
        "seller_message": _DECLINED_MESSAGE if decline else "Payment complete.",
        "type": "issuer_declined" if decline else "authorized",
    }


def _details(method: Json, amount: int, taken: int, *, approved: bool) -> Json:
    if method["type"] == "link":
        return {"country": "US"}
    if method["type"] != "card":
        return bank_accounts.charged_details(method)
    card = method["card"]
    shown = ("brand", "checks", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4", "wallet")
    return {name: card[name] for name in (*shown, "regulated_status")} | {
        "amount_authorized": taken or None,
        "authorization_code": None,
        "extended_authorization": {"status": "disabled"},
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": card["brand"],
        "network_token": {"used": False},
        "network_transaction_id": None,
        "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
        "three_d_secure": _AUTHENTICATED if approved else None,
    }
