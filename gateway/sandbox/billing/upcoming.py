"""``invoice.upcoming``: what the next renewal will cost, told some days ahead.

https://docs.stripe.com/billing/subscriptions/webhooks: the invoice in it has no id; the first invoice of a
subscription has no such notice.
"""

from gateway.sandbox.billing import preview
from gateway.sandbox.errors import StripeError
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.subscription import period_end, period_start
from gateway.sandbox.settings import DAY, Settings
from gateway.sandbox.store import Store
from gateway.sandbox.work import Work


def notice(store: Store, subscription: Json, settings: Settings) -> int | None:
    """When to tell of the renewal that comes next; None once told, or where the period is too short for it."""
    renewal = period_end(subscription)
    at = renewal - settings.upcoming_days * DAY
    told = store.recall("upcoming", subscription["id"]) == {"renewal": renewal}
    return None if told or at <= period_start(subscription) else at


def notify(work: Work, subscription: Json) -> None:
    """Tell of it, unless nothing will be charged, or its moment had passed before the renewal was there at all."""
    renewal = period_end(subscription)
    work.note("upcoming", subscription["id"], {"renewal": renewal})
    if work.now > renewal - work.settings.upcoming_days * DAY:
        return
    try:
        invoice = preview.preview(work.trial(), {"subscription": subscription["id"]})
    except StripeError:  # "No upcoming invoices": the subscription ends, and nothing is pending
        return
    lines = [line | {"invoice": None} for line in invoice["lines"]["data"]]
    without_id = {key: value for key, value in invoice.items() if key != "id"}
    work.tell("invoice.upcoming", without_id | {"lines": invoice["lines"] | {"data": lines}})
