"""Charging an invoice to a card, and what follows for its subscription."""

from gateway.sandbox.billing import cards, intents, pending_update
from gateway.sandbox.billing.invoicing import mark_paid
from gateway.sandbox.errors import StripeError, card_error, invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.invoice import subscription_of
from gateway.sandbox.objects.payment_method import decline_of
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


def refuse_incomplete(work: Work, card: Json) -> None:
    """What ``error_if_incomplete`` answers instead of an open invoice; a card that pays passes."""
    if cards.needs_approval(work, card, on_session=False):
        raise card_error("subscription_payment_intent_requires_action", _NEEDS_ACTION)
    decline = decline_of(card)
    if decline:
        raise cards.declined(decline)


def charge(  # one parameter a circumstance
    work: Work,
    invoice: Json,
    card: Json,
    *,
    automatic: bool = True,
    on_session: bool = False,
    approved: bool = False,
    return_url: str | None = None,
) -> Json:
    """Try the card once; the answer's ``status`` says whether it paid.

    ``automatic``: nobody asked for this very attempt; ``on_session``: the card's holder is there, and sent to
    ``return_url`` after being asked to approve; ``approved``: they have been, and did.
    """
    intent = intents.intent_of(work, invoice["id"]) or {}
    if not approved and cards.needs_approval(work, card, on_session=on_session):
        intents.ask_holder(work, intent, card, return_url)
        return _wait_for_holder(work, invoice, automatic=automatic)
    if approved:
        cards.remember_set_up(work, card)
    decline = decline_of(card)
    if decline:
        intents.fail(work, intent, card, decline, approved=approved)
        return fail(work, invoice, automatic=automatic)
    intents.succeed(work, intent, card, approved=approved)
    return _paid(work, invoice, card, automatic=automatic)


def fail(work: Work, invoice: Json, *, automatic: bool = True) -> Json:
    """A try that brought nothing: declined, or no card there to charge."""
    changes = {"attempted": True, "attempt_count": invoice["attempt_count"] + _counted(invoice, automatic=automatic)}
    failed = work.update(invoice, changes)
    work.tell("invoice.payment_failed", failed)
    return failed


def _counted(invoice: Json, *, automatic: bool) -> int:
    """Counted are the first try and the automatic ones, as the SDK says of ``Invoice.attempt_count``."""
    return int(automatic or not invoice["attempt_count"])


def _wait_for_holder(work: Work, invoice: Json, *, automatic: bool) -> Json:
    """Such a try is not counted, as recorded from Stripe's API, 2026-08-26.dahlia, of a subscription's first invoice.

    That it is counted at a renewal, where nobody is there to be asked, is an inference.
    """
    renewal = invoice["billing_reason"] == "subscription_cycle"
    tries = _counted(invoice, automatic=automatic) if renewal else 0
    changes = {"attempted": True, "attempt_count": invoice["attempt_count"] + tries}
    waiting = work.update(invoice, changes)
    work.tell("invoice.payment_failed", waiting)
    work.tell("invoice.payment_action_required", waiting)
    return waiting


def _paid(work: Work, invoice: Json, card: Json, *, automatic: bool) -> Json:
    """The card paid: so does the invoice count as paid, and its subscription as active."""
    cards.attach(work, card, invoice["customer"])
    intents.settle_payment(work, invoice["id"])
    tries = _counted(invoice, automatic=automatic)
    paid = mark_paid(work, invoice, attempts=tries, charged=invoice["amount_due"])
    follow_up(work, paid, card)
    return work.get("invoice", invoice["id"])


def approve(work: Work, intent: Json) -> Json:
    """The card's holder approved: it is tried for real now. Answers the intent."""
    card = work.get("payment_method", intent["payment_method"])
    charge(work, intents.invoice_of(work, intent), card, automatic=False, on_session=True, approved=True)
    return work.get("payment_intent", intent["id"])


def last_error(intent: Json) -> StripeError:
    """The 402 that an intent's last failed attempt is answered with.

    It carries the intent and the card, as recorded from Stripe's API, 2026-08-26.dahlia.
    """
    fields = intent["last_payment_error"] | {"payment_intent": intent}
    return StripeError(402, fields.pop("type"), fields.pop("message"), **fields)


def settle_elsewhere(work: Work, invoice: Json) -> Json:
    """Paid out of band: no attempt is counted, as recorded from Stripe's API, 2026-08-26.dahlia."""
    intents.cancel(work, invoice["id"], "automatic")  # which reason Stripe gives was not recorded
    paid = mark_paid(work, invoice, attempts=0, charged=invoice["amount_due"], attempted=invoice["attempted"])
    follow_up(work, paid, None)
    return paid


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
