"""Endpoints of payment intents that a browser needs to pay an invoice (https://docs.stripe.com/api/payment_intents)."""

from stripe.params import PaymentIntentConfirmParams, PaymentIntentListParams, PaymentIntentRetrieveParams

from gateway.sandbox.billing import cards, intents, payment
from gateway.sandbox.errors import StripeError, invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.pagination import CURSORS, in_range, page
from gateway.sandbox.resources.client_secrets import check
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()


@routes.get("/v1/payment_intents/{intent}", PaymentIntentRetrieveParams, "client_secret")
def retrieve(work: Work, params: Json, intent: str) -> Json:
    """Return the payment intent of an invoice."""
    return check(work.get("payment_intent", intent, param="intent"), params)


@routes.post(
    "/v1/payment_intents/{intent}/confirm", PaymentIntentConfirmParams, "payment_method client_secret return_url"
)
def confirm(work: Work, params: Json, intent: str) -> Json:
    """Pay with another card, or approve the card that waits for its holder, as Stripe.js does in the browser.

    Stripe takes approval only in the browser. Here a confirmation without a card counts as approval.
    """
    found = check(work.get("payment_intent", intent, param="intent"), params)
    if found["status"] in {"succeeded", "canceled", "processing"}:
        raise _unexpected(f"This PaymentIntent's status is {found['status']}, so it could not be confirmed.")
    token = params.get("payment_method")
    if token:
        card = cards.take(work, token, found["customer"])
        return _charge(work, found, card, params.get("return_url"))
    if found["status"] == "requires_action":
        return answer(work, payment.approve(work, found))
    raise _unexpected("You cannot confirm this PaymentIntent because it's missing a payment method.")


def _charge(work: Work, intent: Json, card: Json, return_url: str | None) -> Json:
    invoice = intents.invoice_of(work, intent)
    payment.charge(work, invoice, card, automatic=False, on_session=True, return_url=return_url)
    return answer(work, work.get("payment_intent", intent["id"]))


def answer(work: Work, intent: Json) -> Json:
    """Return the intent. Answer a decline with a 402, but keep the attempt and the intent's last error."""
    if intent["status"] == "requires_payment_method":
        work.fail(payment.last_error(intent))
    return intent


def _unexpected(text: str) -> StripeError:
    return invalid(text, code="payment_intent_unexpected_state")


@routes.get("/v1/payment_intents", PaymentIntentListParams, f"{CURSORS} customer created")
def list_all(work: Work, params: Json) -> Json:
    """List payment intents, filtered by customer and creation time."""
    rows = (
        row
        for row in work.select("payment_intent", params.get("customer"))
        if in_range(row["created"], params.get("created"))
    )
    return page(work, rows, params, kind="payment_intent", url="/v1/payment_intents")
