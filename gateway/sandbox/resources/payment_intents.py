"""https://docs.stripe.com/api/payment_intents, as far as paying an invoice in the browser needs it."""

from stripe.params import PaymentIntentConfirmParams, PaymentIntentRetrieveParams

from gateway.sandbox.billing import payment
from gateway.sandbox.errors import StripeError, invalid, missing
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.payment_intent import view
from gateway.sandbox.objects.payment_method import Behavior, card_of
from gateway.sandbox.resources.payment_methods import attached
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()


def _invoice(work: Work, intent: str) -> Json:
    noted = work.recall("invoice_of_intent", intent)
    if noted is None:
        raise missing("payment_intent", intent, param="intent")
    return work.get("invoice", noted["invoice"])


def _view(work: Work, invoice_id: str) -> Json:
    intent = work.recall("payment_intent", invoice_id) or {}
    return view(work.get("invoice", invoice_id), intent, work.recall("attempt", invoice_id))


@routes.get("/v1/payment_intents/{intent}", PaymentIntentRetrieveParams, "client_secret")
def retrieve(work: Work, params: Json, intent: str) -> Json:
    """How the payment of an invoice stands."""
    return _view(work, _invoice(work, intent)["id"])


@routes.post(
    "/v1/payment_intents/{intent}/confirm", PaymentIntentConfirmParams, "payment_method client_secret return_url"
)
def confirm(work: Work, params: Json, intent: str) -> Json:
    """Do what Stripe.js does in the browser: pay by another card, or let the holder approve the one tried."""
    invoice = _invoice(work, intent)
    if invoice["status"] != "open":
        text = "This PaymentIntent could not be confirmed because its invoice isn't open."
        raise invalid(text, code="payment_intent_unexpected_state")
    tried = work.recall("attempt", invoice["id"]) or {"card": None, "needs_action": False}
    card = _card(work, params.get("payment_method"), tried["card"], invoice["customer"])
    if card_of(card).charged is Behavior.DECLINES:
        payment.charge(work, invoice, card)
        work.fail(_declined(work, invoice["id"], card))
    elif card_of(card).charged is Behavior.NEEDS_ACTION and not tried["needs_action"]:
        payment.charge(work, invoice, card)
    else:
        payment.succeed(work, invoice, card)
    return _view(work, invoice["id"])


def _card(work: Work, given: str | None, tried: str | None, customer: str) -> Json:
    if given:
        return attached(work, given, customer)
    if tried is None:
        text = "You cannot confirm this PaymentIntent because it's missing a payment method."
        raise invalid(text, code="payment_intent_unexpected_state")
    return work.get("payment_method", tried)


def _declined(work: Work, invoice_id: str, card: Json) -> StripeError:
    """A decline carries the intent, as recorded from Stripe's API, 2026-08-26.dahlia."""
    error = payment.declined(card)
    error.fields |= {"payment_intent": _view(work, invoice_id), "payment_method": card}
    return error
