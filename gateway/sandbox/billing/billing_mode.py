"""The billing mode of a subscription (https://docs.stripe.com/billing/subscriptions/billing-mode)."""

from gateway.sandbox.errors import invalid, not_built
from gateway.sandbox.json_types import Json
from gateway.sandbox.work import Work

_ALREADY_FLEXIBLE = "The subscription is already in flexible billing mode."  # inferred wording


def requested(work: Work, params: Json) -> Json:
    """Return the ``billing_mode`` that a request gives a subscription, which is flexible by default."""
    given = params.get("billing_mode") or {}
    if given.get("type") == "classic":
        return {"flexible": None, "type": "classic", "updated_at": None}
    discounts = (given.get("flexible") or {}).get("proration_discounts", "included")
    if discounts != "included":
        raise not_built("itemized discounts of prorations", "billing_mode[flexible][proration_discounts]")
    return {"flexible": {"proration_discounts": discounts}, "type": "flexible", "updated_at": work.now}


def is_classic(subscription: Json) -> bool:
    """Return whether the subscription is in classic billing mode."""
    return bool(subscription["billing_mode"]["type"] == "classic")


def refuse_in_classic(subscription: Json, feature: str) -> None:
    """Raise 400 for a feature that works differently in classic billing mode, which the sandbox does not model."""
    if is_classic(subscription):
        raise not_built(f"{feature} in classic billing mode", "billing_mode[type]")


def migrate(work: Work, subscription: Json, params: Json) -> Json:
    """Move the subscription to flexible billing mode. There is no way back."""
    if not is_classic(subscription):
        raise invalid(_ALREADY_FLEXIBLE, param="billing_mode[type]")
    return work.update(subscription, {"billing_mode": requested(work, params)})
