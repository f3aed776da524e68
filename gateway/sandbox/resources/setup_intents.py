"""https://docs.stripe.com/api/setup_intents."""

from stripe.params import (
    SetupIntentCancelParams,
    SetupIntentConfirmParams,
    SetupIntentCreateParams,
    SetupIntentListParams,
    SetupIntentRetrieveParams,
)

from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.setup_intent import build
from gateway.sandbox.pagination import CURSORS, page
from gateway.sandbox.resources.payment_methods import attached
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()
_CONFIRMED = "payment_method return_url"


@routes.post(
    "/v1/setup_intents",
    SetupIntentCreateParams,
    f"{_CONFIRMED} customer usage metadata description allowed_payment_method_types automatic_payment_methods confirm",
)
def create(work: Work, params: Json) -> Json:
    """A setup intent, confirmed at once if so asked."""
    if "customer" in params:
        work.get("customer", params["customer"], param="customer", status=400)
    intent = work.add(build(work, params))
    return confirm(work, params, intent["id"]) if params.get("confirm") else intent


@routes.get("/v1/setup_intents/{intent}", SetupIntentRetrieveParams, "client_secret")
def retrieve(work: Work, params: Json, intent: str) -> Json:
    """A setup intent."""
    return work.get("setup_intent", intent, param="intent")


@routes.post("/v1/setup_intents/{intent}/confirm", SetupIntentConfirmParams, f"{_CONFIRMED} client_secret")
def confirm(work: Work, params: Json, intent: str) -> Json:
    """What Stripe.js does in the browser: the card is checked and attached to the intent's customer."""
    found = work.get("setup_intent", intent, param="intent")
    if found["status"] in {"succeeded", "canceled"}:
        text = f"You cannot confirm this SetupIntent because it has already {found['status']}."
        raise invalid(text, code="setup_intent_unexpected_state")
    token = params.get("payment_method")
    if not token:
        text = "You cannot confirm this SetupIntent because it's missing a payment method."
        raise invalid(text, code="setup_intent_unexpected_state")
    card = attached(work, token, found["customer"]) if found["customer"] else work.get("payment_method", token)
    changes = {"payment_method": card["id"], "status": "succeeded"}
    return work.update(found, changes, "setup_intent.succeeded")


@routes.post("/v1/setup_intents/{intent}/cancel", SetupIntentCancelParams, "cancellation_reason")
def cancel(work: Work, params: Json, intent: str) -> Json:
    """Give it up."""
    found = work.get("setup_intent", intent, param="intent")
    if found["status"] in {"succeeded", "canceled"}:
        text = f"You cannot cancel this SetupIntent because it has a status of {found['status']}."
        raise invalid(text, code="setup_intent_unexpected_state")
    changes = {"cancellation_reason": params.get("cancellation_reason"), "status": "canceled"}
    return work.update(found, changes, "setup_intent.canceled")


@routes.get("/v1/setup_intents", SetupIntentListParams, f"{CURSORS} customer")
def list_all(work: Work, params: Json) -> Json:
    """Setup intents, of one customer if given."""
    rows = work.select("setup_intent", params.get("customer"))
    return page(work, rows, params, kind="setup_intent", url="/v1/setup_intents")
