"""The end of a subscription."""

from gateway.sandbox.billing import invoicing, ledger, usage
from gateway.sandbox.billing.lines import add_pending
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.subscription import items_of
from gateway.sandbox.work import Work


def cancel(work: Work, subscription: Json, params: Json) -> Json:
    """At once. ``prorate`` gives unused time back as pending items, ``invoice_now`` puts all pending items on a draft.

    Without either flag, pending prorations are dropped, and usage not billed yet is lost. Items and their periods stay
    as they were; what was given back stays pending on the customer, no longer tied to the subscription (as recorded
    from Stripe's API, 2026-08-26.dahlia).
    """
    invoice_now = params.get("invoice_now", False)
    fields: Json = {}
    if params.get("prorate"):
        give_back(work, subscription, tied=invoice_now)
    if invoice_now:
        invoice = draft(work, subscription)
        fields = {"latest_invoice": invoice["id"]} if invoice else {}
    elif not params.get("prorate"):
        for item in invoicing.pending_items(work, subscription, loose=False):
            work.remove(item)
    details = subscription["cancellation_details"] | {"reason": "cancellation_requested"}
    details |= params.get("cancellation_details") or {}
    fields |= {
        "canceled_at": work.now,
        "cancellation_details": details,
        "ended_at": work.now,
        "pending_update": None,
        "status": "canceled",
    }
    return work.update(subscription, fields, "customer.subscription.deleted")


def give_back(work: Work, subscription: Json, *, tied: bool) -> None:
    """Credits for the time not used; ``tied`` to the subscription, or loose on the customer."""
    prorations = [credit for item in items_of(subscription) for credit in ledger.unused(work, item["id"], work.now)]
    items = add_pending(work, subscription, prorations, tied=tied)
    for proration, item in zip(prorations, items, strict=True):
        ledger.record(work, proration, item["id"])


def draft(work: Work, subscription: Json) -> Json | None:
    """The final draft of what is pending and of usage not billed yet; none if there is neither."""
    pending = invoicing.pending_items(work, subscription, loose=False)
    invoice_id = work.ids.new("in")
    arrears = usage.final_lines(work, invoice_id, subscription)
    if not pending and not arrears:
        return None
    window = (min(item["current_period_start"] for item in items_of(subscription)), work.now)
    return invoicing.draft(
        work,
        subscription,
        reason="subscription_cycle",
        pending=pending,
        window=window,
        invoice_id=invoice_id,
        arrears=arrears,
    )
