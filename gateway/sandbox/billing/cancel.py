"""The end of a subscription."""

from gateway.sandbox.billing import billing_mode, invoicing, ledger, usage
from gateway.sandbox.billing.lines import add_pending
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.invoice import subscription_of
from gateway.sandbox.objects.subscription import items_of, period_start
from gateway.sandbox.work import Work


def cancel(work: Work, subscription: Json, params: Json) -> Json:
    """Cancel the subscription immediately.

    ``prorate`` credits unused time as pending items. ``invoice_now`` puts all pending items on a draft. Without either
    flag, pending prorations are dropped and unbilled usage is lost. Items and their periods do not change. Without
    ``invoice_now``, the credits stay pending on the customer and are no longer tied to the subscription. Stripe's API,
    2026-08-26.dahlia, was recorded to do so.
    """
    invoice_now = params.get("invoice_now", False)
    changes: Json = {}
    if params.get("prorate"):
        give_back(work, subscription, tied=invoice_now)
    if invoice_now:
        invoice = draft(work, subscription)
        changes = {"latest_invoice": invoice["id"]} if invoice else {}
    elif not params.get("prorate"):
        for item in invoicing.pending_items(work, subscription, loose=False):
            work.remove(item)
    details = params.get("cancellation_details") or {}
    # An end that was already scheduled keeps the time of its request, as recorded.
    changes |= {"cancel_at": None, "cancel_at_period_end": False}
    earlier = subscription["canceled_at"]
    return end(
        work, subscription, reason="cancellation_requested", details=details, changes=changes, canceled_at=earlier
    )


def end(
    work: Work,
    subscription: Json,
    *,
    reason: str | None = None,
    details: Json | None = None,
    changes: Json | None = None,
    canceled_at: int | None = None,
) -> Json:
    """End the subscription and stop the collection of its open invoices.

    https://docs.stripe.com/api/subscriptions/cancel. Without a ``reason``, the subscription keeps the reason of the
    request that scheduled the end.
    """
    for invoice in list(work.select("invoice", subscription["customer"])):
        if subscription_of(invoice) == subscription["id"] and invoice["status"] == "open":
            stop_collection(work, invoice)
    explanation = subscription["cancellation_details"] | ({"reason": reason} if reason else {}) | (details or {})
    ended = {
        "canceled_at": canceled_at or work.now,
        "cancellation_details": explanation,
        "ended_at": work.now,
        "pending_update": None,
        "status": "canceled",
    }
    return work.update(subscription, (changes or {}) | ended, "customer.subscription.deleted")


def stop_collection(work: Work, invoice: Json) -> None:
    """Stop the automatic finalization and collection of an invoice."""
    if invoice["auto_advance"]:
        stopped = {"auto_advance": False, "automatically_finalizes_at": None, "next_payment_attempt": None}
        work.update(invoice, stopped)


def give_back(work: Work, subscription: Json, *, tied: bool) -> None:
    """Credit unused time as pending items, ``tied`` to the subscription or on the customer alone."""
    billing_mode.refuse_in_classic(subscription, "credit for unused time")
    prorations = [credit for item in items_of(subscription) for credit in ledger.unused(work, item["id"], work.now)]
    items = add_pending(work, subscription, prorations, tied=tied)
    for proration, item in zip(prorations, items, strict=True):
        ledger.record(work, proration, item["id"])


def draft(work: Work, subscription: Json) -> Json | None:
    """Draft the final invoice of pending items and unbilled usage. Return None if there is neither.

    A trial's usage is free.
    """
    if subscription["status"] == "trialing":
        usage.skip(work, subscription)
    pending = invoicing.pending_items(work, subscription, loose=False)
    invoice_id = work.ids.new("in")
    arrears = usage.final_lines(work, invoice_id, subscription)
    if not pending and not arrears:
        return None
    return invoicing.draft(
        work,
        subscription,
        reason="subscription_cycle",
        pending=pending,
        window=(period_start(subscription), work.now),
        invoice_id=invoice_id,
        lines=arrears,
    )
