"""Refunds of charges (https://docs.stripe.com/refunds). The invoice stays paid."""

from gateway.sandbox.billing import intents
from gateway.sandbox.currencies import shown
from gateway.sandbox.errors import invalid, not_built
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects import bank_accounts
from gateway.sandbox.objects import refund as objects
from gateway.sandbox.work import Work


def refund(work: Work, charge: Json, params: Json) -> Json:
    """Refund the given amount of a charge, or else all that is left of it."""
    if not charge["paid"]:
        raise invalid("This charge has not succeeded, so it cannot be refunded.", param="charge")  # inferred
    if charge["refunded"]:
        text = f"Charge {charge['id']} has already been refunded."
        raise invalid(text, code="charge_already_refunded")
    if charge["disputed"]:
        text = f"Charge {charge['id']} has been charged back; cannot issue a refund."
        raise invalid(text, code="charge_disputed")
    if charge["payment_method_details"]["type"] in bank_accounts.CURRENCY:
        raise not_built("refunds of bank debits, which take days", "charge")
    left = charge["amount"] - charge["amount_refunded"]
    amount = params.get("amount", left)
    if amount <= 0:
        raise invalid("Invalid positive integer", param="amount", code="parameter_invalid_integer")
    if amount > left:
        asked, most = shown(amount, charge["currency"]), shown(left, charge["currency"])
        raise invalid(f"Refund amount ({asked}) is greater than unrefunded amount on charge ({most})", param="amount")
    made = work.add(objects.build(work, charge, amount, params))
    refunded = charge["amount_refunded"] + amount
    changes = {"amount_refunded": refunded, "refunded": refunded == charge["amount"]}
    work.update(charge, changes, "charge.refunded")
    return made


def charge_of(work: Work, invoice: Json) -> Json | None:
    """Return the charge that paid the invoice, or None."""
    intent = intents.intent_of(work, invoice["id"])
    paid = intent and intent["status"] == "succeeded"
    return work.get("charge", intent["latest_charge"]) if intent and paid else None
