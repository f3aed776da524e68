"""The setup of payment methods for payments in the holder's absence (https://docs.stripe.com/payments/save-and-reuse)."""

from gateway.sandbox.billing import cards, three_d_secure
from gateway.sandbox.errors import StripeError, invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.special_cards import Decline
from gateway.sandbox.work import Work

_UNAUTHENTICATED = (
    "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new PaymentMethod "
    "to attempt to fulfill this SetupIntent again."
)
_NOT_ALLOWED = (
    "The PaymentMethod provided ({}) is not allowed for this SetupIntent. Please attach a PaymentMethod of one of the "
    "following types: {}."
)


def confirm(work: Work, intent: Json, card: Json, return_url: str | None) -> Json:
    """Set up the payment method, decline a card, or ask its holder to approve."""
    allowed = intent["payment_method_types"]
    if card["type"] not in allowed:
        raise invalid(_NOT_ALLOWED.format(card["type"], ", ".join(allowed)), param="payment_method")
    decline = cards.refusal(card)
    if decline:
        return _fail(work, intent, card, decline)
    if cards.needs_approval_to_set_up(card):
        changes = {
            "last_setup_error": None,
            "next_action": three_d_secure.next_action(work, intent, return_url),
            "payment_method": card["id"],
            "status": "requires_action",
        }
        return work.update(intent, changes, "setup_intent.requires_action")
    return _succeed(work, intent, card)


def approve(work: Work, intent: Json) -> Json:
    """Set up the card after its holder approved."""
    return _succeed(work, intent, work.get("payment_method", intent["payment_method"]))


def refuse(work: Work, intent: Json) -> Json:
    """Store that the cardholder did not approve. The intent waits for another card."""
    error = three_d_secure.failure("setup_intent_authentication_failure", _UNAUTHENTICATED)
    error["payment_method"] = work.get("payment_method", intent["payment_method"])
    return work.update(intent, _waiting(error), "setup_intent.setup_failed")


def last_error(intent: Json) -> StripeError:
    """Return the 402 for an intent's last failed attempt."""
    fields = intent["last_setup_error"] | {"setup_intent": intent}
    return StripeError(402, fields.pop("type"), fields.pop("message"), **fields)


def _succeed(work: Work, intent: Json, card: Json) -> Json:
    if intent["customer"]:
        cards.attach(work, card, intent["customer"])
        _give_to_trial(work, intent, card)
    cards.remember_set_up(work, card)
    changes = {
        "last_setup_error": None,
        "next_action": None,
        "payment_method": card["id"],
        "status": "succeeded",
    }
    return work.update(intent, changes, "setup_intent.succeeded")


def _give_to_trial(work: Work, intent: Json, card: Json) -> None:
    """Make the card the default of the trial that required it, which is an inference."""
    for subscription in list(work.select("subscription", intent["customer"])):
        if subscription["pending_setup_intent"] == intent["id"]:
            work.update(subscription, {"default_payment_method": card["id"], "pending_setup_intent": None})


def _fail(work: Work, intent: Json, card: Json, decline: Decline) -> Json:
    error = decline.error() | {"payment_method": card}
    return work.update(intent, _waiting(error), "setup_intent.setup_failed")


def _waiting(error: Json) -> Json:
    return {
        "last_setup_error": error,
        "next_action": None,
        "payment_method": None,
        "status": "requires_payment_method",
    }
