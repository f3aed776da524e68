"""The interval at which a subscription's pending items are invoiced, which may be shorter than its periods.

https://docs.stripe.com/api/subscriptions/object#subscription_object-pending_invoice_item_interval. That the first such
invoice comes one interval after the request is an inference.
"""

from gateway.sandbox.billing import invoicing
from gateway.sandbox.json_types import Json
from gateway.sandbox.periods import boundary
from gateway.sandbox.work import Work


def requested(params: Json, now: int) -> Json:
    """Return the fields that a request changes, {} for none. An empty string clears the interval."""
    if "pending_invoice_item_interval" not in params:
        return {}
    given = params["pending_invoice_item_interval"]
    if not given:
        return {"pending_invoice_item_interval": None, "next_pending_invoice_item_invoice": None}
    every = {"interval_count": 1} | given
    return {"pending_invoice_item_interval": every, "next_pending_invoice_item_invoice": boundary(now, every, 1)}


def bill(work: Work, subscription: Json) -> None:
    """Draft an invoice of the pending items, if there are any, and plan the next one."""
    since = subscription["next_pending_invoice_item_invoice"]
    fields = {"next_pending_invoice_item_invoice": boundary(since, subscription["pending_invoice_item_interval"], 1)}
    paused = subscription["pause_collection"] or {"behavior": None}
    pending = invoicing.pending_items(work, subscription, loose=False)
    if pending:
        invoice = invoicing.draft(
            work,
            subscription,
            reason="automatic_pending_invoice_item_invoice",
            pending=pending,
            window=(work.now, work.now),
            auto_advance=subscription["status"] != "unpaid" and paused["behavior"] != "keep_as_draft",
        )
        fields["latest_invoice"] = invoice["id"]
    work.update(subscription, fields)
