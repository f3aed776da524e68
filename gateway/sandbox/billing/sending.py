"""Invoices that are sent to the customer and due at a date, instead of being charged automatically.

https://docs.stripe.com/billing/collection-method
"""

from gateway.sandbox.billing import cancel, standing
from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.invoice import subscription_of
from gateway.sandbox.settings import DAY, Settings
from gateway.sandbox.store import Store
from gateway.sandbox.work import Work

ONLY_IF_SENT = "You can only specify 'days_until_due' if invoice collection method is 'send_invoice'."
SENT_WITHOUT_DATE = "If invoice collection method is 'send_invoice', you must specify 'days_until_due'."


def requested(subscription: Json, params: Json) -> Json:
    """Return the subscription's fields for its collection after ``params``.

    That a sent invoice needs ``days_until_due`` is an inference. The text for the other error was recorded.
    """
    method = params.get("collection_method", subscription["collection_method"])
    if method != "send_invoice":
        if "days_until_due" in params:
            raise invalid(ONLY_IF_SENT)
        return {"collection_method": method, "days_until_due": None}
    days = params.get("days_until_due", subscription["days_until_due"])
    if days is None:
        raise invalid(SENT_WITHOUT_DATE)
    return {"collection_method": method, "days_until_due": days}


def is_sent(obj: Json) -> bool:
    """Return whether the invoice, or each invoice of the subscription, is sent."""
    return bool(obj["collection_method"] == "send_invoice")


def late_at(store: Store, invoice: Json, settings: Settings) -> int | None:
    """Return when the open invoice becomes overdue, or when its subscription is given up afterwards, or None."""
    if not is_sent(invoice) or invoice["status"] != "open" or invoice["due_date"] is None:
        return None
    noted = store.recall("overdue", invoice["id"])
    if noted is None:
        return int(invoice["due_date"])
    if noted["given_up"] or settings.after_overdue == "past_due":
        return None
    return int(invoice["due_date"]) + settings.overdue_days * DAY


def become_late(work: Work, invoice: Json) -> None:
    """Announce that the invoice is overdue. The second time, end the subscription as the settings say."""
    given_up = work.recall("overdue", invoice["id"]) is not None
    work.note("overdue", invoice["id"], {"given_up": given_up})
    if not given_up:
        work.tell("invoice.overdue", invoice)
    subscription_id = subscription_of(invoice)
    subscription = work.find("subscription", subscription_id) if subscription_id else None
    if subscription is None or not standing.is_deciding(work, subscription, invoice):
        return
    after, status = work.settings.after_overdue, subscription["status"]
    if given_up and status in {"active", "past_due"}:
        if after == "canceled":
            cancel.end(work, subscription, reason="payment_failed")
        else:
            work.update(subscription, {"status": after})
    elif status == "active":
        work.update(subscription, {"status": work.settings.when_overdue})
