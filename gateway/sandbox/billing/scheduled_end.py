"""Ends that ``cancel_at_period_end`` or ``cancel_at`` schedules.

https://docs.stripe.com/billing/subscriptions/cancel. A date inside the current period shortens it, and Stripe credits
what was billed for the rest. A date in a later period reduces the charge for that period.
"""

from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.subscription import items_of, period_end
from gateway.sandbox.work import Work

_NONE: Json = {"cancel_at": None, "cancel_at_period_end": False, "canceled_at": None}


def requested(work: Work, subscription: Json, params: Json) -> Json:
    """Return the fields that ``cancel_at_period_end`` or ``cancel_at`` of a request changes, {} for none.

    A scheduled end already has a ``canceled_at``, as recorded from Stripe's API, 2026-08-26.dahlia.
    """
    at_period_end, at = params.get("cancel_at_period_end"), params.get("cancel_at")
    if at_period_end and at:
        raise invalid("You cannot set both `cancel_at` and `cancel_at_period_end`.", param="cancel_at")
    if at_period_end:
        scheduled = {"cancel_at": period_end(subscription), "cancel_at_period_end": True}
    elif at:
        scheduled = {"cancel_at": _moment(work, subscription, at), "cancel_at_period_end": False}
    else:
        withdrawn = (at_period_end is False and subscription["cancel_at_period_end"]) or (
            at == "" and subscription["cancel_at"]
        )
        return _NONE | _reason(subscription, None) if withdrawn else {}
    if scheduled.items() <= subscription.items():
        return {}
    return scheduled | {"canceled_at": work.now} | _reason(subscription, "cancellation_requested")


def following(target: Json, items: list[Json]) -> Json:
    """Return the new ``cancel_at`` if ``cancel_at_period_end`` ties it to the changed period, else {}."""
    if not target["cancel_at_period_end"]:
        return {}
    return {"cancel_at": min(item["current_period_end"] for item in items)}


def _moment(work: Work, subscription: Json, at: int | str) -> int:
    ends = [int(item["current_period_end"]) for item in items_of(subscription)]
    if isinstance(at, str):
        return min(ends) if at == "min_period_end" else max(ends)
    if at <= work.now:
        raise invalid("`cancel_at` must be a timestamp in the future.", param="cancel_at")
    return at


def _reason(subscription: Json, reason: str | None) -> Json:
    return {"cancellation_details": subscription["cancellation_details"] | {"reason": reason}}
