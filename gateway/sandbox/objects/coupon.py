"""Builders of coupons, promotion codes and discounts.

https://docs.stripe.com/api/coupons/object, https://docs.stripe.com/api/promotion_codes/object,
https://docs.stripe.com/api/discounts/object
"""

import string

from gateway.sandbox.json_types import Json
from gateway.sandbox.periods import boundary
from gateway.sandbox.work import Work

_CODE_LENGTH = 8
_MONTH: Json = {"interval": "month", "interval_count": 1}


def build(work: Work, params: Json) -> Json:
    """Return a new coupon. The caller may choose its id."""
    applies = {"applies_to": params["applies_to"]} if params.get("applies_to") else {}
    return {
        "id": params.get("id") or work.ids.text(_CODE_LENGTH),
        "object": "coupon",
        "amount_off": params.get("amount_off"),
        "created": work.now,
        "currency": params.get("currency"),
        "duration": params.get("duration", "once"),
        "duration_in_months": params.get("duration_in_months"),
        "livemode": False,
        "max_redemptions": params.get("max_redemptions"),
        "metadata": params.get("metadata") or {},
        "name": params.get("name") or None,
        "percent_off": params.get("percent_off"),
        "redeem_by": params.get("redeem_by"),
        "times_redeemed": 0,
        "valid": True,
    } | applies


def build_promotion_code(work: Work, params: Json) -> Json:
    """Return a new promotion code. Without a chosen code, it gets a random one."""
    restrictions = params.get("restrictions", {})
    return {
        "id": work.ids.new("promo"),
        "object": "promotion_code",
        "active": params.get("active", True),
        "code": params.get("code") or work.ids.text(_CODE_LENGTH, string.ascii_uppercase + string.digits),
        "created": work.now,
        "customer": params.get("customer"),
        "customer_account": None,
        "expires_at": params.get("expires_at"),
        "livemode": False,
        "max_redemptions": params.get("max_redemptions"),
        "metadata": params.get("metadata") or {},
        "promotion": {"coupon": params["promotion"]["coupon"], "type": "coupon"},
        "restrictions": {
            "first_time_transaction": restrictions.get("first_time_transaction", False),
            "minimum_amount": None,
            "minimum_amount_currency": None,
        },
        "times_redeemed": 0,
    }


def build_discount(work: Work, coupon: Json, promotion_code: str | None, owner: Json) -> Json:
    """Return a discount by ``coupon`` for ``owner``, which holds the ids of what it belongs to.

    A repeating discount ends that many months after its start.
    """
    months = coupon["duration_in_months"] if coupon["duration"] == "repeating" else None
    return {
        "id": work.ids.new("di"),
        "object": "discount",
        "checkout_session": None,
        "customer": owner["customer"],
        "customer_account": None,
        "end": boundary(work.now, _MONTH, months) if months else None,
        "invoice": owner.get("invoice"),
        "invoice_item": owner.get("invoice_item"),
        "promotion_code": promotion_code,
        "source": {"coupon": coupon["id"], "type": "coupon"},
        "start": work.now,
        "subscription": owner.get("subscription"),
        "subscription_item": owner.get("subscription_item"),
    }
