"""Builders of products, prices and the legacy plan that a subscription item still carries.

https://docs.stripe.com/api/products/object, https://docs.stripe.com/api/prices/object
"""

from gateway.sandbox.currencies import known
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.tiers import amount
from gateway.sandbox.work import Work


def build_product(work: Work, params: Json) -> Json:
    """Return a new product. The caller may choose its id."""
    return {
        "id": params.get("id") or work.ids.new("prod"),
        "object": "product",
        "active": params.get("active", True),
        "attributes": [],
        "created": work.now,
        "default_price": None,
        "description": params.get("description") or None,
        "images": params.get("images", []),
        "livemode": False,
        "marketing_features": params.get("marketing_features", []),
        "metadata": params.get("metadata") or {},
        "name": params["name"],
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": params.get("statement_descriptor"),
        "tax_code": params.get("tax_code"),
        "tax_details": None,
        "type": "service",
        "unit_label": params.get("unit_label") or None,
        "updated": work.now,
        "url": params.get("url") or None,
    }


def build_price(work: Work, params: Json, product: str) -> Json:
    """Return a new price, recurring or one-time. ``tiers.keep`` stores its tiers separately."""
    return {
        "id": work.ids.new("price"),
        "object": "price",
        "active": params.get("active", True),
        "billing_scheme": params.get("billing_scheme", "per_unit"),
        "created": work.now,
        "currency": known(params["currency"]),
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": params.get("lookup_key") or None,
        "metadata": params.get("metadata") or {},
        "nickname": params.get("nickname") or None,
        "product": product,
        "recurring": _recurring(params.get("recurring")),
        "tax_behavior": params.get("tax_behavior", "unspecified"),
        "tiers_mode": params.get("tiers_mode"),
        "transform_quantity": None,
        "type": "recurring" if params.get("recurring") else "one_time",
    } | amount(params, "unit_amount")


def _recurring(params: Json | None) -> Json | None:
    if params is None:
        return None
    return {
        "interval": params["interval"],
        "interval_count": params.get("interval_count", 1),
        "meter": params.get("meter"),
        "trial_period_days": None,
        "usage_type": params.get("usage_type", "licensed"),
    }


def plan_of(price: Json) -> Json:
    """Return the price in the shape of Stripe's legacy plan. Subscription items carry both."""
    recurring = price["recurring"]
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": price["billing_scheme"],
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": False,
        "metadata": price["metadata"],
        "meter": recurring["meter"],
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": price["tiers_mode"],
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": recurring["usage_type"],
    }
