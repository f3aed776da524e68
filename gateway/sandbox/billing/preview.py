"""``invoices.create_preview``, which runs the update itself in a unit of work that is never committed."""

from gateway.sandbox.billing import cancel, change, invoicing, renewal, sending, subscribe, usage
from gateway.sandbox.billing.lines import lines_of
from gateway.sandbox.errors import StripeError, invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.subscription import ENDED, first_period, period_end
from gateway.sandbox.settings import DAY
from gateway.sandbox.work import Work

_TERMS = {"automatic_tax", "discounts"}
"""Parameters that stand beside ``subscription_details`` and change the same subscription."""
_NONE_UPCOMING = "No upcoming invoices for customer: {customer}"


def preview(work: Work, params: Json) -> Json:
    """Return the immediate invoice of a change (``always_invoice``), else the next renewal's including the change."""
    details = params.get("subscription_details", {}) | {key: params[key] for key in _TERMS & params.keys()}
    if "subscription" in params:
        subscription = work.get("subscription", params["subscription"], param="subscription", status=400)
    elif details.get("items"):
        return _shown(work, _of_new(work, params | details))
    else:
        subscription = _next_to_renew(work, params["customer"])
    if subscription["status"] in ENDED:
        raise _none_upcoming(subscription["customer"])
    if details.get("cancel_now"):
        return _shown(work, _of_cancel(work, subscription, details))
    planned = change.plan(work, subscription, details)
    change.owe(work, planned)
    if planned.behavior == "always_invoice" and planned.bills:
        return _shown(work, change.draft_now(work, planned), planned, details)
    renewed = change.take_effect(work, subscription, planned.fields)
    return _shown(work, upcoming(work, renewed), planned, details)


def upcoming(work: Work, subscription: Json) -> Json:
    """Return the invoice of the next renewal.

    It has the pending items. For the items whose period ends first, it also has the next period and the usage so far.
    """
    start, end = first_period(subscription)
    ending = bool(subscription["cancel_at"]) and subscription["cancel_at"] <= end
    invoice_id = work.ids.new("in")
    renewing = subscription | ({"status": "active"} if subscription["status"] == "trialing" else {})
    periods = {} if ending else renewal.following(renewing, end)
    lines = invoicing.period_lines(work, invoice_id, renewing, periods)
    if subscription["status"] != "trialing":
        lines += usage.lines_of_period(work, invoice_id, subscription, end)
    pending = invoicing.pending_items(work, subscription, loose=True)
    if not pending and not lines:
        raise _none_upcoming(subscription["customer"])
    invoice = invoicing.draft(
        work, renewing, reason="upcoming", pending=pending, window=(start, end), lines=lines, invoice_id=invoice_id
    )
    if sending.is_sent(invoice):
        return invoice | {"created": end, "due_date": end + subscription["days_until_due"] * DAY}
    return invoice | {"created": end, "next_payment_attempt": end + invoicing.DRAFT_SECONDS}


def _of_new(work: Work, params: Json) -> Json:
    subscription = subscribe.planned(work, params)
    return subscribe.first_invoice(work, subscription, work.ids.new("in")) | {"billing_reason": "upcoming"}


def _of_cancel(work: Work, subscription: Json, details: Json) -> Json:
    if details.get("proration_behavior") != "none":
        cancel.give_back(work, subscription, tied=True)
    invoice = cancel.draft(work, subscription)
    if invoice is None:
        raise _none_upcoming(subscription["customer"])
    return invoice


def _next_to_renew(work: Work, customer: str) -> Json:
    """Return the customer's subscription that renews next, as the SDK says of a preview that names none."""
    work.get("customer", customer, param="customer", status=400)
    running = [found for found in work.select("subscription", customer) if found["status"] not in ENDED]
    if not running:
        raise _none_upcoming(customer)
    return min(running, key=period_end)


def _none_upcoming(customer: str) -> StripeError:
    text = _NONE_UPCOMING.format(customer=customer)
    return invalid(text, code="invoice_upcoming_none", status=404)


def _shown(work: Work, invoice: Json, planned: change.Change | None = None, details: Json | None = None) -> Json:
    """Return the draft as a preview shows it. It has all its lines, and its parent repeats the proration date."""
    preview_id = invoice["id"].replace("in_", "upcoming_in_", 1)
    _due, left = invoicing.settle(invoice["total"], invoice["starting_balance"], invoice["currency"])
    parent = invoice["parent"]
    if planned and planned.prorations:
        date = (details or {}).get("proration_date") or planned.prorations[0].start
        echoed = parent["subscription_details"] | {"subscription_proration_date": date}
        parent = parent | {"subscription_details": echoed}
    lines = [_previewed(line, invoice["id"], preview_id) for line in lines_of(work, invoice["id"])]
    page = invoice["lines"] | {"data": lines, "has_more": False}
    shown = {
        "id": preview_id,
        "automatically_finalizes_at": None,
        "billing_reason": "upcoming",
        "ending_balance": left,
    }
    return invoice | shown | {"lines": page, "parent": parent, "webhooks_delivered_at": None}


def _previewed(line: Json, invoice_id: str, preview_id: str) -> Json:
    """Return the line as a line of the preview. So a credit of a debit on the same preview must name the preview."""
    kind = line["parent"]["type"]
    details = line["parent"][kind]
    credited = details["proration_details"]["credited_items"]
    if credited and credited["invoice"] == invoice_id:
        proration = {"credited_items": credited | {"invoice": preview_id}}
        line = line | {"parent": line["parent"] | {kind: details | {"proration_details": proration}}}
    return line | {"invoice": preview_id}
