"""Endpoints of customers (https://docs.stripe.com/api/customers) and of their cards."""

import re

from stripe.params import (
    CustomerCreateParams,
    CustomerDeleteParams,
    CustomerListParams,
    CustomerPaymentMethodListParams,
    CustomerPaymentMethodRetrieveParams,
    CustomerRetrieveParams,
    CustomerUpdateParams,
)

from gateway.sandbox import clocks
from gateway.sandbox.billing import balance, cards, sources
from gateway.sandbox.billing.cancel import cancel, stop_collection
from gateway.sandbox.errors import invalid, missing
from gateway.sandbox.json_types import Json
from gateway.sandbox.metadata import merged
from gateway.sandbox.objects.customer import address, build
from gateway.sandbox.objects.subscription import ENDED
from gateway.sandbox.pagination import CURSORS, in_range, page
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()
_FIELDS = "address description email invoice_settings metadata name phone preferred_locales shipping tax_exempt balance"
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_LONGEST_EMAIL = 512
_CLEARABLE = ("description", "email", "name", "phone", "shipping")


@routes.post("/v1/customers", CustomerCreateParams, f"{_FIELDS} invoice_prefix payment_method source test_clock")
def create(work: Work, params: Json) -> Json:
    """Create a customer and attach the card, if one is given. The request may make it the default card."""
    _check_email(params)
    if "test_clock" in params:
        work.get(clocks.KIND, params["test_clock"], param="test_clock", status=400)
    customer = build(work, params)
    settings = customer["invoice_settings"]
    if not params.get("payment_method"):
        _check_default_card(work, customer, settings)
        added = _add(work, customer)
        if params.get("source"):
            sources.add(work, added, params["source"], {})
        return work.get("customer", customer["id"])
    card = cards.take(work, params["payment_method"], None)
    if settings["default_payment_method"] == params["payment_method"]:  # both name the same test token
        customer["invoice_settings"] = settings | {"default_payment_method": card["id"]}
    _add(work, customer)
    cards.attach(work, card, customer["id"])
    _check_default_card(work, customer, customer["invoice_settings"])
    return customer


def _add(work: Work, customer: Json) -> Json:
    added = work.add(customer)
    balance.set_by_request(work, 0, added, "initial")
    return added


@routes.get("/v1/customers/{customer}", CustomerRetrieveParams)
def retrieve(work: Work, params: Json, customer: str) -> Json:
    """Return a customer, or the stub that is left of a deleted one."""
    return work.recall("deleted", customer) or work.get("customer", customer)


@routes.post("/v1/customers/{customer}", CustomerUpdateParams, f"{_FIELDS} default_source source")
def update(work: Work, params: Json, customer: str) -> Json:
    """Set the given fields. An empty value clears its field."""
    _check_email(params)
    found = work.get("customer", customer)
    if params.get("default_source"):
        sources.find(work, customer, params["default_source"], param="default_source")
    if params.get("source"):
        sources.add(work, found, params["source"], {}, default=True)
        found = work.get("customer", customer)
    changes = {key: value for key, value in params.items() if key not in {"expand", "source"}}
    changes |= {key: changes[key] or None for key in _CLEARABLE if key in changes}
    if "address" in changes:
        changes["address"] = address(changes["address"])
    if "invoice_settings" in changes:
        _check_default_card(work, found, changes["invoice_settings"])
        cleared = {key: value or None for key, value in changes["invoice_settings"].items()}
        changes["invoice_settings"] = found["invoice_settings"] | cleared
    if "metadata" in changes:
        changes["metadata"] = merged(found["metadata"], changes["metadata"])
    updated = work.update(found, changes)
    balance.set_by_request(work, found["balance"], updated, "adjustment")
    return updated


def _check_email(params: Json) -> None:
    email = params.get("email") or ""
    if len(email) > _LONGEST_EMAIL:  # the limit of Stripe's OpenAPI document, in the wording of other parameters
        text = f"Invalid string: {email[:10]}...{email[-10:]}; must be at most {_LONGEST_EMAIL} characters"
        raise invalid(text, param="email")
    if email and not _EMAIL.fullmatch(email):
        raise invalid(f"Invalid email address: {email}", param="email", code="email_invalid")


def _check_default_card(work: Work, customer: Json, settings: Json) -> None:
    card_id = settings.get("default_payment_method")
    if not card_id:
        return
    param = "invoice_settings[default_payment_method]"
    card = work.find("payment_method", card_id)
    if card is None:
        raise missing("payment_method", card_id, param=param, status=400)
    if card["customer"] != customer["id"]:
        text = (
            f"The customer does not have a payment method with the ID {card_id}. "
            "The payment method must be attached to the customer."
        )
        raise invalid(text, param=param, code="resource_missing")


@routes.delete("/v1/customers/{customer}", CustomerDeleteParams)
def delete(work: Work, params: Json, customer: str) -> Json:
    """Delete the customer and cancel its subscriptions immediately (https://docs.stripe.com/api/customers/delete)."""
    found = work.get("customer", customer)
    for subscription in list(work.select("subscription", customer)):
        if subscription["status"] not in ENDED:
            cancel(work, subscription, {})
    for invoice in list(work.select("invoice", customer)):
        stop_collection(work, invoice)
    return work.remove(found)


@routes.get("/v1/customers", CustomerListParams, f"{CURSORS} email created test_clock")
def list_all(work: Work, params: Json) -> Json:
    """List customers, filtered by ``email`` and creation time.

    Customers on a test clock are listed only if the request names that clock.
    """
    rows = (
        row
        for row in work.select("customer")
        if params.get("test_clock") == row["test_clock"]
        and params.get("email") in (None, row["email"])
        and in_range(row["created"], params.get("created"))
    )
    return page(work, rows, params, kind="customer", url="/v1/customers")


@routes.get("/v1/customers/{customer}/payment_methods", CustomerPaymentMethodListParams, f"{CURSORS} type")
def list_payment_methods(work: Work, params: Json, customer: str) -> Json:
    """List the cards attached to the customer."""
    work.get("customer", customer, param="customer")
    rows = (row for row in work.select("payment_method", customer) if params.get("type") in (None, row["type"]))
    return page(work, rows, params, kind="payment_method", url=f"/v1/customers/{customer}/payment_methods")


@routes.get("/v1/customers/{customer}/payment_methods/{payment_method}", CustomerPaymentMethodRetrieveParams)
def retrieve_payment_method(work: Work, params: Json, customer: str, payment_method: str) -> Json:
    """Return a card of this customer."""
    work.get("customer", customer, param="customer")
    card = work.get("payment_method", payment_method, param="payment_method")
    if card["customer"] != customer:
        raise missing("payment_method", payment_method, param="payment_method")
    return card
