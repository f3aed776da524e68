"""Automatic collection, which finalizes a draft after an hour, charges it, retries and finally gives up.

https://docs.stripe.com/billing/revenue-recovery/smart-retries
"""

from gateway.sandbox.billing import cancel, invoicing, payment, standing, uncollectible, usage
from gateway.sandbox.billing.void import void
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.invoice import subscription_of
from gateway.sandbox.settings import DAY
from gateway.sandbox.work import Work


def finalize(work: Work, invoice: Json) -> Json:
    """Finalize a draft whose hour is over, and collect it."""
    subscription = owner(work, invoice)
    invoice = usage.refresh(work, invoice)
    if subscription and subscription["status"] == "canceled" and invoice["total"] < 0:
        # A final credit must not pay for another subscription. That Stripe does so comes from a recorder's notes.
        return uncollectible.mark(work, invoice, "subscription_canceled")
    opened = invoicing.finalize(work, invoice)
    paused = subscription["pause_collection"] if subscription else None
    if opened["status"] == "paid":
        payment.follow_up(work, opened, None)
        return opened
    if opened["collection_method"] == "send_invoice":
        return opened
    if paused and paused["behavior"] == "void":
        return void(work, opened)
    if paused and paused["behavior"] == "mark_uncollectible":
        return uncollectible.mark(work, opened, "subscription_paused")
    return collect(work, opened)


def collect(work: Work, invoice: Json) -> Json:
    """Charge the card on file and schedule the next attempt in case it fails. Return the invoice, paid or open."""
    tries = (work.recall("tries", invoice["id"]) or {"failed": 0})["failed"]
    days = work.settings.retry_days
    retry = work.now + days[tries] * DAY if tries < len(days) else None
    subscription = owner(work, invoice)
    # This makes no event of its own. The events of the failed payment show the next attempt.
    scheduled = work.amend(invoice, {"auto_advance": retry is not None, "next_payment_attempt": retry})
    card = payment.card_on_file(work, subscription, invoice["customer"])
    tried = payment.charge(work, scheduled, card) if card else payment.fail(work, scheduled)
    if tried["status"] == "open":
        work.note("tries", invoice["id"], {"failed": tries + 1})
        if subscription:
            _mark_unpaid(work, work.get("subscription", subscription["id"]), tried, last=retry is None)
    return tried


def _mark_unpaid(work: Work, subscription: Json, invoice: Json, *, last: bool) -> None:
    """Store that a payment failed. Before the last attempt, only the invoice that decides the status counts."""
    after = work.settings.after_retries
    if subscription["status"] not in {"active", "trialing", "past_due"}:
        return
    if last and after == "canceled":
        cancel.end(work, subscription, reason="payment_failed")
    elif last or standing.is_deciding(work, subscription, invoice):
        work.update(subscription, {"status": after if last else "past_due"})


def owner(work: Work, invoice: Json) -> Json | None:
    """Return the subscription that an invoice belongs to, or None."""
    subscription_id = subscription_of(invoice)
    return work.find("subscription", subscription_id) if subscription_id else None
