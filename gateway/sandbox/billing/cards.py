"""The lookup of payment methods, their attachment to customers and the answers of the cards' banks."""

from gateway.sandbox.errors import StripeError, invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects import bank_accounts
from gateway.sandbox.objects.payment_method import build, build_account, card_of, decline_of
from gateway.sandbox.objects.special_cards import BY_PAYMENT_METHOD, Decline, ThreeDSecure
from gateway.sandbox.work import Work

_USED = (
    "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared with a "
    "connected account "
    "without Customer attachment, or was detached from a Customer. It may not be used again. To use a PaymentMethod "
    "multiple times, "
    "you must attach it to a Customer first."
)


def take(work: Work, token: str, customer: str | None, *, status: int = 400) -> Json:
    """Return the payment method with an id, or a new one for a test token such as ``pm_card_visa``.

    ``status`` is the HTTP status for an unknown id. Refuse a card that belongs to another customer or was detached. A
    card that was never attached is fine.
    """
    if token in BY_PAYMENT_METHOD:
        return work.add(build(work, BY_PAYMENT_METHOD[token], {}))
    if token in bank_accounts.BY_PAYMENT_METHOD:
        return work.add(build_account(work, bank_accounts.BY_PAYMENT_METHOD[token], {}))
    found = work.get("payment_method", token, param="payment_method", status=status)
    if found["customer"] != customer and (found["customer"] or work.recall("detached", token) is not None):
        raise invalid(_USED)
    return found


def attach(work: Work, card: Json, customer: str) -> Json:
    """Attach the payment method to the customer. Raise 402 if a card's bank declines."""
    if card["customer"] == customer:
        return card
    decline = refusal(card)
    if decline:
        raise declined(decline)
    return work.update(card, {"customer": customer}, "payment_method.attached")


def refusal(card: Json) -> Decline | None:
    """Return the decline with which the bank answers the check when a card is saved, or None."""
    tested = card_of(card)
    return None if tested is None or tested.attaches else decline_of(card)


def declined(decline: Decline, **more: object) -> StripeError:
    """Return the 402 for a card that its bank declines. ``more`` adds fields, such as the charge or the intent."""
    fields = decline.error() | more
    return StripeError(402, fields.pop("type"), fields.pop("message"), **fields)


def needs_approval(work: Work, card: Json, *, on_session: bool) -> bool:
    """Return whether a payment needs the cardholder's approval. ``on_session`` says that the holder is present."""
    rule = _three_d_secure(card)
    if rule is ThreeDSecure.UNTIL_SET_UP:
        return on_session or work.recall("set_up", card["id"]) is None
    return rule is ThreeDSecure.ALWAYS or (rule is ThreeDSecure.ON_SESSION and on_session)


def needs_approval_to_set_up(card: Json) -> bool:
    """Return whether a setup intent needs the cardholder's approval."""
    return _three_d_secure(card) in {ThreeDSecure.ALWAYS, ThreeDSecure.UNTIL_SET_UP}


def _three_d_secure(card: Json) -> ThreeDSecure:
    tested = card_of(card)
    return tested.three_d_secure if tested else ThreeDSecure.NOT_REQUIRED


def remember_set_up(work: Work, card: Json) -> None:
    """Note that the cardholder agreed to payments in their absence."""
    work.note("set_up", card["id"], {})
