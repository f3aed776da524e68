"""Endpoints of setup intents (https://docs.stripe.com/api/setup_intents)."""

from stripe.params import (
    SetupIntentCancelParams,
    SetupIntentConfirmParams,
    SetupIntentCreateParams,
    SetupIntentListParams,
    SetupIntentRetrieveParams,
)

from gateway.sandbox.billing import cards, setup
from gateway.sandbox.errors import StripeError, invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.setup_intent import build
from gateway.sandbox.pagination import CURSORS, in_range, page
from gateway.sandbox.resources.client_secrets import check
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()
_CREATED = (
    "payment_method return_url customer usage metadata description allowed_payment_method_types "
    "automatic_payment_methods confirm"
)


@routes.post("/v1/setup_intents", SetupIntentCreateParams, _CREATED)
def create(work: Work, params: Json) -> Json:
    """Create a setup intent, and confirm it if the request sets ``confirm``."""
    if "customer" in params:
        work.get("customer", params["customer"], param="customer", status=400)
    intent = build(work, params)
    if params.get("payment_method"):
        card = cards.take(work, params["payment_method"], intent["customer"])
        intent |= {"payment_method": card["id"], "status": "requires_confirmation"}
    intent = work.add(intent)
    return _confirm(work, intent, params) if params.get("confirm") else intent


@routes.get("/v1/setup_intents/{intent}", SetupIntentRetrieveParams, "client_secret")
def retrieve(work: Work, params: Json, intent: str) -> Json:
    """Return a setup intent."""
    return check(work.get("setup_intent", intent, param="intent"), params)


@routes.post("/v1/setup_intents/{intent}/confirm", SetupIntentConfirmParams, "payment_method return_url client_secret")
def confirm(work: Work, params: Json, intent: str) -> Json:
    """Check a card and attach it to the intent's customer, as Stripe.js does in the browser.

    Stripe takes approval only in the browser. Here a second confirmation without a card counts as approval.
    """
    found = check(work.get("setup_intent", intent, param="intent"), params)
    if found["status"] in {"succeeded", "canceled"}:
        raise _unexpected(f"You cannot confirm this SetupIntent because it has already {found['status']}.")
    if found["status"] == "requires_action" and not params.get("payment_method"):
        return setup.approve(work, found)
    return _confirm(work, found, params)


def _confirm(work: Work, intent: Json, params: Json) -> Json:
    token = params.get("payment_method") or intent["payment_method"]
    if not token:
        raise _unexpected("You cannot confirm this SetupIntent because it's missing a payment method.")
    card = cards.take(work, token, intent["customer"])
    confirmed = setup.confirm(work, intent, card, params.get("return_url"))
    if confirmed["status"] == "requires_payment_method":
        work.fail(setup.last_error(confirmed))
    return confirmed


def _unexpected(text: str) -> StripeError:
    return invalid(text, code="setup_intent_unexpected_state")


@routes.post("/v1/setup_intents/{intent}/cancel", SetupIntentCancelParams, "cancellation_reason")
def cancel(work: Work, params: Json, intent: str) -> Json:
    """Cancel a setup intent that has not succeeded."""
    found = work.get("setup_intent", intent, param="intent")
    if found["status"] in {"succeeded", "canceled"}:
        raise _unexpected(f"You cannot cancel this SetupIntent because it has a status of {found['status']}.")
    changes = {"cancellation_reason": params.get("cancellation_reason"), "next_action": None, "status": "canceled"}
    return work.update(found, changes, "setup_intent.canceled")


@routes.get("/v1/setup_intents", SetupIntentListParams, f"{CURSORS} customer created")
def list_all(work: Work, params: Json) -> Json:
    """List setup intents, filtered by customer and time of creation."""
    found = work.select("setup_intent", params.get("customer"))
    rows = (row for row in found if in_range(row["created"], params.get("created")))
    return page(work, rows, params, kind="setup_intent", url="/v1/setup_intents")
