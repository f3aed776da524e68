"""Endpoints of payment methods (https://docs.stripe.com/api/payment_methods).

They accept Stripe's test cards and test bank accounts only.
"""

from stripe.params import (
    PaymentMethodAttachParams,
    PaymentMethodCreateParams,
    PaymentMethodDetachParams,
    PaymentMethodListParams,
    PaymentMethodRetrieveParams,
    PaymentMethodUpdateParams,
)

from gateway.sandbox.billing import cards, sources
from gateway.sandbox.errors import invalid, not_built, required
from gateway.sandbox.json_types import Json
from gateway.sandbox.metadata import merged
from gateway.sandbox.objects import bank_accounts
from gateway.sandbox.objects.bank_accounts import TestAccount
from gateway.sandbox.objects.payment_method import TYPES, build, build_account, build_link
from gateway.sandbox.objects.special_cards import BY_TOKEN
from gateway.sandbox.pagination import CURSORS, page
from gateway.sandbox.resources import card_numbers
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()
_CARD = " ".join(f"card[{name}]" for name in ("token", "number", "exp_month", "exp_year", "cvc"))


_ACCOUNT = " ".join(
    f"us_bank_account[{name}]" for name in ("account_number", "routing_number", "account_holder_type", "account_type")
)


@routes.post(
    "/v1/payment_methods",
    PaymentMethodCreateParams,
    f"type {_CARD} {_ACCOUNT} sepa_debit[iban] link billing_details metadata allow_redisplay",
)
def create(work: Work, params: Json) -> Json:
    """Create a card from a test token such as ``tok_visa`` or a test number, a test bank account or Link."""
    kind = params.get("type", "card")
    if kind not in TYPES:
        raise not_built(f"payment methods of the type {kind}", param="type")
    if kind in bank_accounts.CURRENCY:
        return work.add(build_account(work, _account(kind, params), params))
    if kind == "link":
        return work.add(build_link(work, params))
    given = params.get("card")
    if not given:
        raise required("card")
    if "token" not in given:
        return work.add(card_numbers.build(work, given, params))
    card = BY_TOKEN.get(given["token"])
    if card is None:
        raise invalid(f"No such token: '{given['token']}'", param="card[token]", code="resource_missing")
    return work.add(build(work, card, params))


def _account(kind: str, params: Json) -> TestAccount:
    """Return the test account with the given number or IBAN. Raise 400 if there is none, or no holder's name."""
    name = "iban" if kind == "sepa_debit" else "account_number"
    number = (params.get(kind) or {}).get(name)
    if number is None:
        raise required(f"{kind}[{name}]")
    if not (params.get("billing_details") or {}).get("name"):
        raise required("billing_details[name]")
    account = bank_accounts.BY_NUMBER.get((kind, number.replace(" ", "")))
    if account is None:
        raise not_built(f"the bank account {number}, only Stripe's test accounts", param=f"{kind}[{name}]")
    return account


@routes.get("/v1/payment_methods/{payment_method}", PaymentMethodRetrieveParams)
def retrieve(work: Work, params: Json, payment_method: str) -> Json:
    """Return a payment method."""
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
    """Attach a payment method to a customer. A test token makes a new one each time."""
    if not params.get("customer"):
        raise required("customer")
    work.get("customer", params["customer"], param="customer", status=400)
    card = cards.take(work, payment_method, params["customer"], status=404)
    return cards.attach(work, card, params["customer"])


@routes.post("/v1/payment_methods/{payment_method}/detach", PaymentMethodDetachParams)
def detach(work: Work, params: Json, payment_method: str) -> Json:
    """Detach the payment method from its customer permanently, and clear it wherever it was the default."""
    found = work.get("payment_method", payment_method, param="payment_method")
    if found["customer"] is None:
        raise invalid("The payment method you provided is not attached to a customer so detachment is impossible.")
    customer = work.get("customer", found["customer"])
    if customer["invoice_settings"]["default_payment_method"] == payment_method:
        work.update(customer, {"invoice_settings": customer["invoice_settings"] | {"default_payment_method": None}})
    sources.forget_default(work, work.get("customer", customer["id"]), payment_method)
    for subscription in list(work.select("subscription", customer["id"])):
        names = ("default_payment_method", "default_source")
        cleared = {name: None for name in names if subscription[name] == payment_method}
        work.update(subscription, cleared)
    work.note("detached", payment_method, {})
    return work.update(found, {"customer": None}, "payment_method.detached")


@routes.get("/v1/payment_methods", PaymentMethodListParams, f"{CURSORS} customer type")
def list_all(work: Work, params: Json) -> Json:
    """List attached payment methods, filtered by customer and type."""
    rows = (
        row
        for row in work.select("payment_method", params.get("customer"))
        if row["customer"] and params.get("type") in (None, row["type"])
    )
    return page(work, rows, params, kind="payment_method", url="/v1/payment_methods")
