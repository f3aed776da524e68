"""``expand[]`` replaces ids in an answer with the objects (https://docs.stripe.com/api/expanding_objects)."""

from collections.abc import Callable

from gateway.sandbox.billing import intents, sources
from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects import source, tiers
from gateway.sandbox.work import Work

_REFERENCES = {
    "charge": "charge",
    "coupon": "coupon",
    "credit_note": "credit_note",
    "customer": "customer",
    "customer_balance_transaction": "customer_balance_transaction",
    "default_payment_method": "payment_method",
    "default_price": "price",
    "discount": "discount",
    "discounts": "discount",
    "invoice": "invoice",
    "latest_charge": "charge",
    "latest_invoice": "invoice",
    "payment_intent": "payment_intent",
    "payment_method": "payment_method",
    "pending_setup_intent": "setup_intent",
    "price": "price",
    "product": "product",
    "refund": "refund",
    "promotion_code": "promotion_code",
    "subscription": "subscription",
}
"""Field → kind of the object that it names."""
_DEEPEST = 4


def _payments(work: Work, invoice: Json) -> Json:
    payment = intents.payment_of(work, invoice["id"])
    return {
        "object": "list",
        "data": [payment] if payment else [],
        "has_more": False,
        "url": f"/v1/invoice_payments?invoice={invoice['id']}",
    }


def _confirmation_secret(work: Work, invoice: Json) -> Json | None:
    intent = intents.intent_of(work, invoice["id"])
    return {"client_secret": intent["client_secret"], "type": "payment_intent"} if intent else None


def _subscriptions(work: Work, customer: Json) -> Json:
    rows = [row for row in work.select("subscription", customer["id"]) if row["status"] != "canceled"]
    url = f"/v1/customers/{customer['id']}/subscriptions"
    return {"object": "list", "data": rows, "has_more": False, "total_count": len(rows), "url": url}


def _sources(work: Work, customer: Json) -> Json:
    rows = [source.shown(row) for row in sources.of_customer(work, customer["id"])]
    url = f"/v1/customers/{customer['id']}/sources"
    return {"object": "list", "data": rows, "has_more": False, "total_count": len(rows), "url": url}


def _tax_ids(work: Work, customer: Json) -> Json:
    url = f"/v1/customers/{customer['id']}/tax_ids"
    return {"object": "list", "data": list(work.select("tax_id", customer["id"])), "has_more": False, "url": url}


def _tax(_work: Work, customer: Json) -> Json:
    """Return how automatic tax locates the customer, which here means by the address alone."""
    address = customer["address"] or {"country": None}
    located = {"country": address["country"], "source": "billing_address", "state": address.get("state")}
    return {
        "automatic_tax": "supported" if address["country"] else "unrecognized_location",
        "ip_address": None,
        "location": located if address["country"] else None,
        "provider": "stripe",
    }


def _tiers(work: Work, price: Json) -> list[Json] | None:
    return tiers.of(work, price) or None


_INCLUDABLE: dict[tuple[str, str], Callable[[Work, Json], Json | list[Json] | None]] = {
    ("invoice", "payments"): _payments,
    ("invoice", "confirmation_secret"): _confirmation_secret,
    ("customer", "subscriptions"): _subscriptions,
    ("customer", "tax"): _tax,
    ("customer", "tax_ids"): _tax_ids,
    ("customer", "sources"): _sources,
    ("plan", "tiers"): _tiers,
    ("price", "tiers"): _tiers,
}
"""Fields that are absent unless the request expands them."""
_ALWAYS_THERE = {"charge", "lines", "items", "data", "tax_ids", "tax_rates"}
"""Fields that are already in the answer, or that the sandbox never has. Stripe accepts them in a path."""


def expand(work: Work, answer: Json, paths: list[str]) -> Json:
    """Return the answer with each dotted path expanded. ``answer`` itself is not changed."""
    for path in paths:
        names = path.split(".")
        if len(names) > _DEEPEST:
            raise invalid(
                f"You cannot expand more than {_DEEPEST} levels of a property. Property: {path}",
                param="expand",
            )
        answer = _expand(work, answer, names, path)
    return answer


def _expand(work: Work, obj: Json, names: list[str], path: str) -> Json:
    name, rest = names[0], names[1:]
    value = obj.get(name)
    if isinstance(value, list):
        entries = [_find(work, name, entry) if isinstance(entry, str) else entry for entry in value]
        return obj | {
            name: [_expand(work, entry, rest, path) if rest and isinstance(entry, dict) else entry for entry in entries]
        }
    include = _INCLUDABLE.get((obj.get("object", ""), name))
    if include and value is None:
        value = include(work, obj)
    elif isinstance(value, str) and name == "default_source":
        value = source.shown(work.get("payment_method", value))
    elif isinstance(value, str) and name in _REFERENCES:
        value = _find(work, name, value)
    elif (name not in obj and name not in _ALWAYS_THERE) or (isinstance(value, str | int) and not rest):
        raise invalid(f"This property cannot be expanded ({path}).", param="expand")
    if rest and isinstance(value, dict):
        value = _expand(work, value, rest, path)
    if name not in obj and value is None and name != "confirmation_secret":  # recorded as null
        return obj
    return obj | {name: value}


def _find(work: Work, field: str, object_id: str) -> Json | str:
    """Return the object that a field names, or the id if the sandbox keeps no such object."""
    found = work.find(_REFERENCES[field], object_id) if field in _REFERENCES else None
    return found or work.recall("deleted", object_id) or object_id
