"""Charging an invoice to a card, and what follows for its subscription."""

from gateway.sandbox.billing import pending_update
from gateway.sandbox.billing.invoicing import mark_paid
from gateway.sandbox.errors import StripeError, card_error, invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.invoice import subscription_of
from gateway.sandbox.objects.payment_method import Behavior, card_of
from gateway.sandbox.work import Work

_NO_CARD = (
    "This customer has no attached payment source or default payment method. Please consider adding a default "
    "payment method. "
    "For more information, visit https://stripe.com/docs/billing/subscriptions/payment-methods-setting#payment-method-priority."
)
_NEEDS_ACTION = (
    "Payment for this subscription requires additional user action, but the requested payment behavior doesn't save "
    "the invoice or "
    "PaymentIntent. Retry the request with `payment_behavior=allow_incomplete` or "
    "`payment_behavior=default_incomplete`, then "
    "complete the PaymentIntent on the subscription's latest invoice. Additional information is available here: "
    "https://stripe.com/docs/billing/subscriptions/overview#requires-action"
)


def card_on_file(work: Work, subscription: Json | None, customer_id: str) -> Json | None:
    """The card to charge: the subscription's own, else the customer's default one.

    https://docs.stripe.com/billing/subscriptions/payment-methods-setting#payment-method-priority
    """
    customer = work.get("customer", customer_id)
    own = subscription["default_payment_method"] if subscription else None
    found = own or customer["invoice_settings"]["default_payment_method"]
    return work.find("payment_method", found) if found else None


def card_for(work: Work, subscription: Json | None, customer_id: str) -> Json:
    """The card on file; 400 if there is none."""
    card = card_on_file(work, subscription, customer_id)
    if card is None:
        raise invalid(_NO_CARD, code="resource_missing")
    return card


def refuse_incomplete(card: Json) -> None:
    """What ``error_if_incomplete`` answers instead of an open invoice; a card that pays passes."""
    if card_of(card).charged is Behavior.NEEDS_ACTION:
        raise card_error("subscription_payment_intent_requires_action", _NEEDS_ACTION)
    if card_of(card).charged is Behavior.DECLINES:
        raise declined(card)


def declined(card: Json) -> StripeError:
    """``card_declined`` with the bank's reason."""
    return card_error("card_declined", "Your card was declined.", card_of(card).decline_code)


def charge(work: Work, invoice: Json, card: Json) -> Json:
    """Try the card once; the answer's ``status`` says whether it paid."""
    behavior = card_of(card).charged
    if behavior is Behavior.PAYS:
        return succeed(work, invoice, card)
    attempt = {"card": card["id"], "needs_action": behavior is Behavior.NEEDS_ACTION}
    work.note("attempt", invoice["id"], attempt)
    if behavior is Behavior.NEEDS_ACTION:
        told = ("invoice.updated", "invoice.payment_failed", "invoice.payment_action_required")
        return work.update(invoice, {"attempted": True}, *told)
    return fail(work, invoice)


def fail(work: Work, invoice: Json) -> Json:
    """A try that brought nothing: declined, or no card there to charge."""
    changes = {"attempted": True, "attempt_count": invoice["attempt_count"] + 1}
    return work.update(invoice, changes, "invoice.updated", "invoice.payment_failed")


def succeed(work: Work, invoice: Json, card: Json) -> Json:
    """The card paid: so does the invoice count as paid, and its subscription as active."""
    paid = mark_paid(work, invoice, attempts=1, charged=invoice["amount_due"])
    payment = work.add(_payment(work, paid), "invoice_payment.paid")
    work.note("payments", invoice["id"], {"ids": [payment["id"]]})
    work.note("attempt", invoice["id"], {"card": card["id"], "needs_action": False})
    follow_up(work, paid, card)
    return work.get("invoice", invoice["id"])


def settle_elsewhere(work: Work, invoice: Json) -> Json:
    """Paid out of band: no attempt is counted, as recorded from Stripe's API, 2026-08-26.dahlia."""
    paid = mark_paid(work, invoice, attempts=0, charged=invoice["amount_due"], attempted=invoice["attempted"])
    follow_up(work, paid, None)
    return paid


def _payment(work: Work, invoice: Json) -> Json:
    """https://docs.stripe.com/api/invoice-payment/object."""
    intent = work.recall("payment_intent", invoice["id"]) or {"id": work.ids.new("pi")}
    return {
        "id": work.ids.new("inpay"),
        "object": "invoice_payment",
        "amount_paid": invoice["amount_paid"],
        "amount_requested": invoice["amount_due"],
        "created": work.now,
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": True,
        "livemode": False,
        "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
        "status": "paid",
        "status_transitions": {"canceled_at": None, "paid_at": work.now},
    }


def follow_up(work: Work, invoice: Json, card: Json | None) -> None:
    """What a paid invoice means for its subscription."""
    subscription_id = subscription_of(invoice)
    subscription = work.find("subscription", subscription_id) if subscription_id else None
    if subscription is None:
        return
    if pending_update.applies(work, subscription, invoice):
        subscription = pending_update.apply(work, subscription)
    changes: Json = {}
    if (
        subscription["status"] in {"incomplete", "past_due", "unpaid"}
        and subscription["latest_invoice"] == invoice["id"]
    ):
        changes["status"] = "active"
    if card and subscription["payment_settings"]["save_default_payment_method"] == "on_subscription":
        changes["default_payment_method"] = card["id"]
    work.update(subscription, changes)
