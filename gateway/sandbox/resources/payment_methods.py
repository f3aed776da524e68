"""https://docs.stripe.com/api/payment_methods, with Stripe's test tokens (``pm_card_visa``) instead of card numbers."""

from stripe.params import (
    PaymentMethodAttachParams,
    PaymentMethodCreateParams,
    PaymentMethodDetachParams,
    PaymentMethodListParams,
    PaymentMethodRetrieveParams,
    PaymentMethodUpdateParams,
)

from gateway.sandbox.errors import card_error, invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.metadata import merged
from gateway.sandbox.objects.payment_method import TEST_CARDS, build, card_of
from gateway.sandbox.pagination import CURSORS, page
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()
_USED = (
    "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared with a "
    "connected account "
    "without Customer attachment, or was detached from a Customer. It may not be used again. To use a PaymentMethod "
    "multiple times, "
    "you must attach it to a Customer first."
)


@routes.post("/v1/payment_methods", PaymentMethodCreateParams, "type card[token] billing_details metadata")
def create(work: Work, params: Json) -> Json:
    """A card from a test token: ``tok_visa``, ``tok_mastercard`` and so on."""
    token = (params.get("card") or {}).get("token", "tok_visa")
    card = TEST_CARDS.get(token.replace("tok_", "pm_card_", 1))
    if card is None:
        raise invalid(f"No such token: '{token}'", param="card[token]", code="resource_missing")
    return work.add(build(work, card, None, params.get("billing_details")))


@routes.get("/v1/payment_methods/{payment_method}", PaymentMethodRetrieveParams)
def retrieve(work: Work, params: Json, payment_method: str) -> Json:
    """A card."""
    return work.get("payment_method", payment_method, param="payment_method")


@routes.post(
    "/v1/payment_methods/{payment_method}",
    PaymentMethodUpdateParams,
    "metadata billing_details allow_redisplay card[exp_month] card[exp_year]",
)
def update(work: Work, params: Json, payment_method: str) -> Json:
    """Set the holder's details and the expiry date."""
    found = work.get("payment_method", payment_method, param="payment_method")
    changes = {key: params[key] for key in ("allow_redisplay",) if key in params}
    changes |= {key: found[key] | params[key] for key in ("billing_details", "card") if key in params}
    if "metadata" in params:
        changes["metadata"] = merged(found["metadata"], params["metadata"])
    return work.update(found, changes)


@routes.post("/v1/payment_methods/{payment_method}/attach", PaymentMethodAttachParams, "customer")
def attach(work: Work, params: Json, payment_method: str) -> Json:
    """Give a card to a customer. A test token makes a new card each time."""
    work.get("customer", params["customer"], param="customer", status=400)
    return attached(work, payment_method, params["customer"])


def attached(work: Work, token: str, customer: str) -> Json:
    """The card of this customer that a token or an id stands for; the check may decline it (402)."""
    if token in TEST_CARDS:
        card = TEST_CARDS[token]
        if not card.attaches:
            raise card_error("card_declined", "Your card was declined.", card.decline_code)
        return work.add(build(work, card, customer), "payment_method.attached")
    found = work.get("payment_method", token, param="payment_method")
    if found["customer"] == customer:
        return found
    if found["customer"] or work.recall("detached", token) is not None:
        raise invalid(_USED)
    if not card_of(found).attaches:
        raise card_error("card_declined", "Your card was declined.", card_of(found).decline_code)
    return work.update(found, {"customer": customer}, "payment_method.attached")


@routes.post("/v1/payment_methods/{payment_method}/detach", PaymentMethodDetachParams)
def detach(work: Work, params: Json, payment_method: str) -> Json:
    """Take the card from its customer, for good; wherever it was the default, none is left."""
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
    """A customer's cards."""
    rows = (
        row
        for row in work.select("payment_method", params.get("customer"))
        if row["customer"] and params.get("type") in (None, row["type"])
    )
    return page(work, rows, params, kind="payment_method", url="/v1/payment_methods")
