"""Pauses of a whole subscription, and of the collection of its invoices only.

https://docs.stripe.com/billing/subscriptions/pause, https://docs.stripe.com/billing/subscriptions/pause-payment
"""

from gateway.sandbox.billing import (
    billing_mode,
    cancel,
    change,
    collection,
    intents,
    invoicing,
    on_file,
    payment,
    pending_update,
    sending,
    usage,
)
from gateway.sandbox.billing.cycle import period_at
from gateway.sandbox.errors import invalid, not_built
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.subscription import cut_short, items_of, metered, period_start, with_items
from gateway.sandbox.work import Work

_PAUSED = ("customer.subscription.updated", "customer.subscription.paused")
_RESUMED = ("customer.subscription.updated", "customer.subscription.resumed")


def pause(work: Work, subscription: Json, kind: str, fields: Json) -> Json:
    """Pause the subscription, and end its current period now. A paused subscription gets no service and no invoices."""
    paused = {
        "subscription": {"type": kind},
        "transitioned_at": work.now,
        "type": "subscription",
    }
    cut = cut_short(subscription | fields, work.now)
    changes = fields | cut | {"status": "paused", "status_details": {"paused": paused}}
    return work.update(subscription, changes, *_PAUSED)


def pause_on_request(work: Work, subscription: Json, params: Json) -> Json:
    """Serve ``POST /v1/subscriptions/{id}/pause``. Credit unused time as pending items or on an immediate invoice."""
    if subscription["status"] not in {"active", "past_due", "trialing"}:
        raise invalid(f"A subscription with the status {subscription['status']} cannot be paused.")
    if billing_mode.is_classic(subscription):  # documented for this endpoint, in inferred words
        raise invalid("Only a subscription in flexible billing mode can be paused.")
    credit = params.get("bill_for", {}).get("unused_time_from", {}).get("type", "now")
    if credit == "item_current_period_start":
        raise not_built("credit for the whole period", "bill_for[unused_time_from][type]")
    if credit == "now":
        cancel.give_back(work, subscription, tied=True)
    if params.get("bill_for", {}).get("outstanding_usage_through", {}).get("type", "now") == "now":
        usage.bill(work, subscription, [item for item in items_of(subscription) if metered(item["price"])])
    invoice = cancel.draft(work, subscription) if params.get("invoicing_behavior") == "invoice" else None
    fields = {"latest_invoice": invoice["id"]} if invoice else {}
    paused = pause(work, subscription, "pause_requested", fields)
    if invoice:
        collection.finalize(work, invoice)
    return work.get("subscription", paused["id"])


def resume(work: Work, subscription: Json, params: Json) -> Json:
    """Serve ``POST /v1/subscriptions/{id}/resume``. Start a new period, or continue the one that is running."""
    if subscription["status"] != "paused":
        raise invalid("Only a paused subscription can be resumed.")
    if sending.is_sent(subscription):  # documented for this endpoint, in inferred words
        raise invalid("Only a subscription that is charged automatically can be resumed.")
    usage.skip(work, subscription)
    if (params.get("billing_cycle_anchor") or {}).get("type") == "unchanged":
        return _resume_unchanged(work, subscription, params)
    running = {"status": "active", "status_details": None, "billing_cycle_anchor": work.now}
    fields = running | _periods(subscription | running, work.now)
    after = subscription | fields
    invoice_id = work.ids.new("in")
    periods = {item["id"]: period_at(after, item["price"], work.now) for item in items_of(after)}
    invoice = invoicing.draft(
        work,
        after,
        reason="subscription_update",
        pending=invoicing.pending_items(work, after, loose=True),
        window=(period_start(subscription), work.now),
        lines=invoicing.period_lines(work, invoice_id, after, periods),
        invoice_id=invoice_id,
    )
    opened = invoicing.finalize(work, invoice)
    if opened["status"] == "paid":
        return work.update(subscription, fields | {"latest_invoice": invoice["id"]}, *_RESUMED)
    parked = pending_update.park(work, subscription, fields, [], invoice["id"], events=_RESUMED)
    card = on_file.method(work, subscription, subscription["customer"])
    if card is None or params.get("payment_behavior") == "resume_on_payment_success":
        return parked
    if payment.charge(work, opened, card)["status"] == "open":
        # The attempt resumes the subscription even if it failed or a bank has not answered yet.
        # The debt is collected like that of a renewal.
        late = pending_update.apply(work, work.get("subscription", subscription["id"]))
        if not intents.is_processing(work, opened["id"]):
            work.update(late, {"status": "past_due"})
    return work.get("subscription", subscription["id"])


def _resume_unchanged(work: Work, subscription: Json, params: Json) -> Json:
    """Continue the period that is running by the old anchor, and charge the rest of it."""
    behavior = params.get("proration_behavior", "create_prorations")
    fields = {"status": "active", "status_details": None} | _periods(subscription, work.now)
    after = subscription | fields
    date = change.proration_date(work, after, params, behavior)
    owed = []
    costs = change.Costs.of(work, after, items_of(after))
    for item in items_of(after) if behavior != "none" else []:
        owed += costs.debits(item, date)
    change.update(work, change.Change(subscription, fields, owed, behavior, []), "allow_incomplete")
    resumed = work.get("subscription", subscription["id"])
    work.tell("customer.subscription.resumed", resumed)
    return resumed


def _periods(subscription: Json, moment: int) -> Json:
    items = []
    for item in items_of(subscription):
        start, end = period_at(subscription, item["price"], moment)
        items.append(item | {"current_period_end": end, "current_period_start": start})
    return with_items(subscription, items)


def collection_paused(given: Json | str, now: int) -> Json | None:
    """Return the new value of ``pause_collection``. An empty string ends the pause."""
    if isinstance(given, str):
        return None
    resumes_at = given.get("resumes_at")
    if resumes_at is not None and resumes_at <= now:
        raise invalid("`resumes_at` must be a timestamp in the future.", param="pause_collection[resumes_at]")
    return {"behavior": given["behavior"], "resumes_at": resumes_at}


def collect_again(work: Work, subscription: Json) -> None:
    """End the pause of the collection at ``resumes_at``. The next invoices are collected again."""
    work.update(subscription, {"pause_collection": None})
