"""``invoice.upcoming``, which announces the cost of the next renewal some days ahead.

https://docs.stripe.com/billing/subscriptions/webhooks. The invoice in the event has no id. The first invoice of a
subscription is not announced.
"""

from gateway.sandbox.billing import preview
from gateway.sandbox.errors import StripeError
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.invoice import EMBEDDED_LINES
from gateway.sandbox.objects.subscription import period_end, period_start
from gateway.sandbox.settings import DAY, Settings
from gateway.sandbox.store import Store
from gateway.sandbox.work import Work


def notice(store: Store, subscription: Json, settings: Settings) -> int | None:
    """Return when to announce the next renewal, or None if that was done or the period is too short."""
    renewal = period_end(subscription)
    at = renewal - settings.upcoming_days * DAY
    announced = store.recall("upcoming", subscription["id"]) == {"renewal": renewal}
    return None if announced or at <= period_start(subscription) else at


def notify(work: Work, subscription: Json) -> None:
    """Announce the renewal, unless it has no invoice or the moment to announce it has passed."""
    renewal = period_end(subscription)
    work.note("upcoming", subscription["id"], {"renewal": renewal})
    if work.now > renewal - work.settings.upcoming_days * DAY:
        return
    try:
        invoice = preview.preview(work.trial(), {"subscription": subscription["id"]})
    except StripeError:  # "No upcoming invoices", because the subscription ends and nothing is pending
        return
    lines = [line | {"invoice": None} for line in invoice["lines"]["data"]]
    without_id = {key: value for key, value in invoice.items() if key != "id"}
    shown = {"data": lines[:EMBEDDED_LINES], "has_more": len(lines) > EMBEDDED_LINES}
    work.tell("invoice.upcoming", without_id | {"lines": invoice["lines"] | shown})
