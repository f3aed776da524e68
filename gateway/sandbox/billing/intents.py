"""The payment intent of an invoice, which finalization makes and which is settled or canceled with the invoice."""

from gateway.sandbox.billing import three_d_secure
from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects import charge as charges
from gateway.sandbox.objects import payment_intent as objects
from gateway.sandbox.objects.special_cards import Decline
from gateway.sandbox.work import Work

_UNAUTHENTICATED = (
    "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new PaymentMethod "
    "to attempt to fulfill this PaymentIntent again."
)


def prepare(work: Work, invoice: Json) -> None:
    """Make the intent and the open payment that ties it to the invoice."""
    intent = work.add(objects.build(work, invoice))
    payment = work.add(objects.build_payment(work, invoice, intent))
    work.note("payment_of_invoice", invoice["id"], {"intent": intent["id"], "payment": payment["id"]})
    work.note("invoice_of_intent", intent["id"], {"invoice": invoice["id"]})


def intent_of(work: Work, invoice_id: str) -> Json | None:
    """Return the intent of an invoice. Return None for a draft and for an invoice with nothing due."""
    noted = work.recall("payment_of_invoice", invoice_id)
    return work.get("payment_intent", noted["intent"]) if noted else None


def payment_of(work: Work, invoice_id: str) -> Json | None:
    """Return the invoice's payment, which is open, paid or canceled, or None."""
    noted = work.recall("payment_of_invoice", invoice_id)
    return work.get("invoice_payment", noted["payment"]) if noted else None


def invoice_of(work: Work, intent: Json) -> Json:
    """Return the invoice that an intent pays."""
    noted = work.recall("invoice_of_intent", intent["id"]) or {}
    return work.get("invoice", noted["invoice"])


def succeed(work: Work, intent: Json, card: Json, *, approved: bool) -> Json:
    """Store that the bank accepted the charge."""
    charge = charges.build(work, intent, card, None, approved=approved)
    changes = {
        "amount_received": intent["amount"],
        "last_payment_error": None,
        "latest_charge": charge["id"],
        "next_action": None,
        "payment_method": card["id"],
        "status": "succeeded",
    }
    paid = work.update(intent, changes, "payment_intent.succeeded")
    work.add(charge, "charge.succeeded")
    return paid


def fail(work: Work, intent: Json, card: Json, decline: Decline, *, approved: bool) -> Json:
    """Store that the bank declined. A failed charge remains, and the intent waits for another card."""
    charge = work.add(charges.build(work, intent, card, decline, approved=approved), "charge.failed")
    error = decline.error() | {"charge": charge["id"], "payment_method": card}
    changes = {"latest_charge": charge["id"]} | _waiting(error)
    return work.update(intent, changes, "payment_intent.payment_failed")


def begin_debit(work: Work, intent: Json, account: Json) -> Json:
    """Store that the account's bank was asked for the money. It answers days later."""
    charge = charges.build(work, intent, account, None, approved=False)
    work.add(charge | charges.processing(charge), "charge.pending")
    changes = {
        "last_payment_error": None,
        "latest_charge": charge["id"],
        "next_action": None,
        "payment_method": account["id"],
        "status": "processing",
    }
    return work.update(intent, changes, "payment_intent.processing")


def end_debit(work: Work, intent: Json, account: Json, decline: Decline | None) -> Json:
    """Store the answer of the account's bank."""
    charge = work.get("charge", intent["latest_charge"])
    outcome = "charge.failed" if decline else "charge.succeeded"
    work.update(charge, charges.answered(charge, decline), outcome)
    if decline:
        error = decline.error() | {"charge": charge["id"], "payment_method": account}
        return work.update(intent, _waiting(error), "payment_intent.payment_failed")
    changes = {"amount_received": intent["amount"], "status": "succeeded"}
    return work.update(intent, changes, "payment_intent.succeeded")


def is_processing(work: Work, invoice_id: str) -> bool:
    """Return whether a bank has not yet answered a debit for the invoice."""
    intent = intent_of(work, invoice_id)
    return intent is not None and intent["status"] == "processing"


def refuse_processing(work: Work, invoice: Json) -> None:
    """Raise 400 if a bank has not yet answered a debit. Otherwise the customer could pay twice.

    That Stripe refuses is an inference, and so is the text.
    """
    if is_processing(work, invoice["id"]):
        raise invalid("This invoice has a payment that is still processing.", code="payment_intent_unexpected_state")


def ask_holder(work: Work, intent: Json, card: Json, return_url: str | None) -> Json:
    """Store that the cardholder must approve first."""
    changes = {
        "last_payment_error": None,
        "next_action": three_d_secure.next_action(work, intent, return_url),
        "payment_method": card["id"],
        "status": "requires_action",
    }
    return work.update(intent, changes, "payment_intent.requires_action")


def holder_refused(work: Work, intent: Json) -> Json:
    """Store that the cardholder did not approve. The intent waits for another card."""
    error = three_d_secure.failure("payment_intent_authentication_failure", _UNAUTHENTICATED)
    error["payment_method"] = work.get("payment_method", intent["payment_method"])
    return work.update(intent, _waiting(error), "payment_intent.payment_failed")


def cancel(work: Work, invoice_id: str, reason: str) -> None:
    """Cancel the invoice's intent, if any. ``reason`` is ``void_invoice``, ``failed_invoice`` or ``automatic``."""
    intent, payment = intent_of(work, invoice_id), payment_of(work, invoice_id)
    if intent is None or payment is None:
        return
    changes = {
        "canceled_at": work.now,
        "cancellation_reason": reason,
        "next_action": None,
        "status": "canceled",
    }
    work.update(intent, changes, "payment_intent.canceled")
    transitions = payment["status_transitions"] | {"canceled_at": work.now}
    work.amend(payment, {"status": "canceled", "status_transitions": transitions})


def follow_amount(work: Work, invoice: Json) -> None:
    """Let an unpaid intent charge what the invoice is still due after a credit note. Stripe has no event for that.

    An intent that waits for the cardholder keeps waiting, which is an inference.
    """
    intent, payment = intent_of(work, invoice["id"]), payment_of(work, invoice["id"])
    if intent is None or payment is None or payment["status"] != "open":
        return
    work.amend(intent, {"amount": invoice["amount_remaining"]})
    work.amend(payment, {"amount_requested": invoice["amount_remaining"]})


def settle_payment(work: Work, invoice_id: str) -> None:
    """Mark the invoice's payment as paid after its intent succeeded."""
    payment = payment_of(work, invoice_id) or {}
    changes = {
        "amount_paid": payment["amount_requested"],
        "status": "paid",
        "status_transitions": payment["status_transitions"] | {"paid_at": work.now},
    }
    work.update(payment, changes, "invoice_payment.paid")


def _waiting(error: Json) -> Json:
    return {
        "last_payment_error": error,
        "next_action": None,
        "payment_method": None,
        "status": "requires_payment_method",
    }
