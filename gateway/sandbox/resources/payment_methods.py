"""Endpoints of payment methods (https://docs.stripe.com/api/payment_methods). They accept Stripe's test cards only."""

from stripe.params import (
    PaymentMethodAttachParams,
    PaymentMethodCreateParams,
    PaymentMethodDetachParams,
    PaymentMethodListParams,
    PaymentMethodRetrieveParams,
    PaymentMethodUpdateParams,
)

from gateway.sandbox.billing import cards
from gateway.sandbox.errors import invalid, not_built, required
from gateway.sandbox.json_types import Json
from gateway.sandbox.metadata import merged
from gateway.sandbox.objects.payment_method import build
from gateway.sandbox.objects.special_cards import BY_TOKEN
from gateway.sandbox.pagination import CURSORS, page
from gateway.sandbox.resources import card_numbers
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()
_CARD = " ".join(f"card[{name}]" for name in ("token", "number", "exp_month", "exp_year", "cvc"))


@routes.post("/v1/payment_methods", PaymentMethodCreateParams, f"type {_CARD} billing_details metadata allow_redisplay")
def create(work: Work, params: Json) -> Json:
    """Create a card from a test token such as ``tok_visa``, or from a test number."""
    if params.get("type", "card") != "card":
        raise not_built(f"payment methods of the type {params['type']}", param="type")
    given = params.get("card")
    if not given:
        raise required("card")
    if "token" not in given:
        return work.add(card_numbers.build(work, given, params))
    card = BY_TOKEN.get(given["token"])
    if card is None:
        raise invalid(f"No such token: '{given['token']}'", param="card[token]", code="resource_missing")
    return work.add(build(work, card, params))


@routes.get("/v1/payment_methods/{payment_method}", PaymentMethodRetrieveParams)
def retrieve(work: Work, params: Json, payment_method: str) -> Json:
    """Return a card."""
    return work.get("payment_method", payment_method, param="payment_method")


@routes.post(
    "/v1/payment_methods/{payment_method}",
    PaymentMethodUpdateParams,
    "metadata billing_details allow_redisplay card[exp_month] card[exp_year]",
)
def update(work: Work, params: Json, payment_method: str) -> Json:
    """Set the billing details, the expiry date, ``metadata`` and ``allow_redisplay``."""
    found = work.get("payment_method", payment_method, param="payment_method")
    changes = {key: params[key] for key in ("allow_redisplay",) if key in params}
    changes |= {key: found[key] | params[key] for key in ("billing_details", "card") if key in params}
    if "metadata" in params:
        changes["metadata"] = merged(found["metadata"], params["metadata"])
    return work.update(found, changes)


@routes.post("/v1/payment_methods/{payment_method}/attach", PaymentMethodAttachParams, "customer")
def attach(work: Work, params: Json, payment_method: str) -> Json:
    """Attach a card to a customer. A test token makes a new card each time."""
    if not params.get("customer"):
        raise required("customer")
    work.get("customer", params["customer"], param="customer", status=400)
    card = cards.take(work, payment_method, params["customer"], status=404)
    return cards.attach(work, card, params["customer"])


@routes.post("/v1/payment_methods/{payment_method}/detach", PaymentMethodDetachParams)
def detach(work: Work, params: Json, payment_method: str) -> Json:
    """Detach the card from its customer permanently, and clear it wherever it was the default."""
    found = work.get("payment_method", payment_method, param="payment_method")
    if found["customer"] is None:
        raise invalid("The payment method you provided is not attached to a customer so detachment is impossible.")
    customer = work.get("customer", found["customer"])
    if customer["invoice_settings"]["default_payment_method"] == payment_method:
        work.update(customer, {"invoice_settings": customer["invoice_settings"] | {"default_payment_method": None}})
    for subscription in list(work.select("subscription", customer["id"])):
        if subscription["default_payment_method"] == payment_method:
            work.update(subscription, {"default_payment_method": None})
    work.note("detached", payment_method, {})
    return work.update(found, {"customer": None}, "payment_method.detached")


@routes.get("/v1/payment_methods", PaymentMethodListParams, f"{CURSORS} customer type")
def list_all(work: Work, params: Json) -> Json:
    """List attached cards, filtered by customer and type."""
    rows = (
        row
        for row in work.select("payment_method", params.get("customer"))
        if row["customer"] and params.get("type") in (None, row["type"])
    )
    return page(work, rows, params, kind="payment_method", url="/v1/payment_methods")
