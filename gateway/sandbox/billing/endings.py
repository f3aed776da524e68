"""Ends of subscriptions and pending updates that no request causes."""

from gateway.sandbox.billing import cancel, intents, pending_update
from gateway.sandbox.billing.void import void
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.invoice import subscription_of
from gateway.sandbox.work import Work


def end_as_scheduled(work: Work, subscription: Json) -> None:
    """End the subscription at its ``cancel_at``, and put pending items on a final invoice."""
    invoice = cancel.draft(work, subscription)
    changes = {"latest_invoice": invoice["id"]} if invoice else {}
    cancel.end(work, subscription, changes=changes, canceled_at=subscription["canceled_at"])


def expire_first_invoice(work: Work, subscription: Json) -> None:
    """Void a first invoice that was not paid within 23 hours, and end the subscription.

    https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses
    """
    for invoice in list(work.select("invoice", subscription["customer"])):
        open_ = subscription_of(invoice) == subscription["id"] and invoice["status"] == "open"
        if open_ and not intents.is_processing(work, invoice["id"]):
            void(work, invoice)  # the first invoice, and those of later changes
    ended = {"ended_at": work.now, "status": "incomplete_expired"}
    work.update(work.get("subscription", subscription["id"]), ended)


def expire_update(work: Work, subscription: Json) -> None:
    """Void the invoice of a pending update that was not paid in time. The old plan continues.

    https://docs.stripe.com/billing/subscriptions/pending-updates
    """
    invoice = work.get("invoice", pending_update.invoice_of(work, subscription) or "")
    expired = ("customer.subscription.updated", "customer.subscription.pending_update_expired")
    work.update(subscription, {"pending_update": None}, *expired)
    if invoice["status"] == "open":
        void(work, invoice)
