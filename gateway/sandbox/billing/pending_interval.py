"""The interval at which a subscription's pending items are invoiced, which may be shorter than its periods.

https://docs.stripe.com/api/subscriptions/object#subscription_object-pending_invoice_item_interval. That the first such
invoice comes one interval after the request is an inference.
"""

from gateway.sandbox.billing import invoicing
from gateway.sandbox.json_types import Json
from gateway.sandbox.periods import boundary, containing
from gateway.sandbox.work import Work


def requested(work: Work, subscription: str, params: Json) -> Json:
    """Return the fields that a request changes, {} for none. An empty string clears the interval.

    Note the time of the request. In a short month, the invoice comes on the last day, and then on the day of the
    request again.
    """
    if "pending_invoice_item_interval" not in params:
        return {}
    given = params["pending_invoice_item_interval"]
    if not given:
        return {"pending_invoice_item_interval": None, "next_pending_invoice_item_invoice": None}
    every = {"interval_count": 1} | given
    work.note("pending_interval", subscription, {"since": work.now})
    return {"pending_invoice_item_interval": every, "next_pending_invoice_item_invoice": boundary(work.now, every, 1)}


def bill(work: Work, subscription: Json) -> None:
    """Draft an invoice of the pending items, if there are any, and plan the next one."""
    due = subscription["next_pending_invoice_item_invoice"]
    since = (work.recall("pending_interval", subscription["id"]) or {"since": due})["since"]
    following = containing(since, subscription["pending_invoice_item_interval"], due)[1]
    fields = {"next_pending_invoice_item_invoice": following}
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
