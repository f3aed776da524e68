"""The status of a subscription as far as it follows from its invoices.

https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses
"""

from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.invoice import subscription_of
from gateway.sandbox.work import Work


def deciding_invoice(work: Work, subscription: Json) -> Json | None:
    """Return the latest finalized invoice that is not void, or None. One-off invoices do not count, by inference."""
    for invoice in work.select("invoice", subscription["customer"]):
        if (
            subscription_of(invoice) == subscription["id"]
            and invoice["status_transitions"]["finalized_at"] is not None
            and invoice["status"] != "void"
            and invoice["billing_reason"] != "manual"
        ):
            return invoice
    return None


def is_deciding(work: Work, subscription: Json, invoice: Json) -> bool:
    """Return whether the subscription's status follows from this invoice."""
    deciding = deciding_invoice(work, subscription)
    return deciding is not None and deciding["id"] == invoice["id"]


def restore(work: Work, invoice: Json) -> None:
    """Make a ``past_due`` subscription active if the invoice that decides its status is no longer collected.

    Stripe documents that marking the latest invoice as uncollectible does so. It also documents that a void invoice no
    longer counts.
    """
    subscription_id = subscription_of(invoice)
    subscription = work.find("subscription", subscription_id) if subscription_id else None
    if subscription is None or subscription["status"] != "past_due":
        return
    deciding = deciding_invoice(work, subscription)
    if deciding is None or deciding["status"] in {"paid", "uncollectible"}:
        work.update(subscription, {"status": "active"})
