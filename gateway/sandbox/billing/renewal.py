"""The next period of a subscription, and its invoice."""

from gateway.sandbox.billing import discounts, invoicing, usage
from gateway.sandbox.billing.cycle import Period, period_at
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.subscription import items_of, period_end, period_start, with_items
from gateway.sandbox.work import Work


def next_period(work: Work, subscription: Json, changes: Json, *, reason: str = "subscription_cycle") -> Json:
    """Start the next period with ``changes`` to the subscription, and return the draft of its invoice.

    The invoice stays a draft if the subscription is ``unpaid`` or its collection is paused with ``keep_as_draft``
    (https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses).
    """
    after = subscription | changes
    over = period_end(after)
    periods = following(after, over)
    renewed = after | with_items(after, [_renewed(item, periods) for item in items_of(after)])
    paused = renewed["pause_collection"] or {"behavior": None}
    invoice_id = work.ids.new("in")
    lines = invoicing.period_lines(work, invoice_id, renewed, periods)
    if subscription["status"] == "trialing":
        usage.skip(work, subscription)
    else:
        lines += usage.lines_of_period(work, invoice_id, after, over)
    invoice = invoicing.draft(
        work,
        renewed,
        reason=reason,
        pending=invoicing.pending_items(work, renewed, loose=True),
        window=(period_start(subscription), over),
        lines=lines,
        invoice_id=invoice_id,
        auto_advance=renewed["status"] != "unpaid" and paused["behavior"] != "keep_as_draft",
    )
    discounts.drop_over(work, work.update(subscription, renewed | {"latest_invoice": invoice["id"]}))
    return invoice


def following(subscription: Json, over: int) -> dict[str, Period]:
    """Return item id → next period, for the items whose period ends by ``over``."""
    return {
        item["id"]: period_at(subscription, item["price"], over)
        for item in items_of(subscription)
        if item["current_period_end"] <= over
    }


def _renewed(item: Json, periods: dict[str, Period]) -> Json:
    if item["id"] not in periods:
        return item
    start, end = periods[item["id"]]
    return item | {"current_period_end": end, "current_period_start": start}
