"""Automatic collection, which finalizes a draft after an hour, charges it, retries and finally gives up.

https://docs.stripe.com/billing/revenue-recovery/smart-retries
"""

from gateway.sandbox.billing import cancel, invoicing, on_file, payment, sending, standing, uncollectible, usage
from gateway.sandbox.billing.void import void
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.bank_accounts import account_of
from gateway.sandbox.objects.invoice import subscription_of
from gateway.sandbox.settings import DAY
from gateway.sandbox.store import Store
from gateway.sandbox.work import Work

DEBIT_DAYS = 4
"""How long a bank takes to answer a debit, as Stripe documents for US accounts."""


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
    if paused and paused["behavior"] == "void":
        return void(work, opened)
    if paused and paused["behavior"] == "mark_uncollectible":
        return uncollectible.mark(work, opened, "subscription_paused")
    return opened if sending.is_sent(opened) else collect(work, opened)


def collect(work: Work, invoice: Json, payer: Json | None = None) -> Json:
    """Charge the payment method on file and schedule the next attempt in case it fails.

    Return the invoice, paid or open. ``payer`` is the subscription whose payment method pays, as an update will leave
    it. By default it is the stored one.
    """
    card = on_file.method(work, payer or owner(work, invoice), invoice["customer"])
    if card and payment.can_debit(card, invoice):
        return payment.charge(work, invoice, card)  # the bank answers later, and only then can a failure be retried
    scheduled = _schedule_retry(work, invoice)
    return _follow_failure(work, payment.charge(work, scheduled, card) if card else payment.fail(work, scheduled))


def debit_ends(store: Store, invoice: Json) -> int | None:
    """Return when a bank answers the debit for the invoice, or None if it never does or was not asked."""
    noted = store.recall("payment_of_invoice", invoice["id"])
    intent = store.find("payment_intent", noted["intent"]) if noted else None
    if intent is None or intent["status"] != "processing":
        return None
    account = account_of(store.find("payment_method", intent["payment_method"]) or {"type": None})
    charge = store.find("charge", intent["latest_charge"])
    return charge["created"] + DEBIT_DAYS * DAY if charge and account and account.settles else None


def end_debit(work: Work, invoice: Json) -> Json:
    """Store the bank's answer. If the debit failed, schedule the next attempt unless collection has stopped.

    Stripe never charges a sent invoice by itself (https://docs.stripe.com/billing/collection-method).
    """
    if not invoice["auto_advance"] or sending.is_sent(invoice):
        return payment.end_debit(work, invoice)
    return _follow_failure(work, payment.end_debit(work, _schedule_retry(work, invoice)))


def _failures(work: Work, invoice: Json) -> int:
    return int((work.recall("tries", invoice["id"]) or {"failed": 0})["failed"])


def _schedule_retry(work: Work, invoice: Json) -> Json:
    """Store when the next attempt follows if this one fails.

    This makes no event of its own. The events of the failed payment show the next attempt.
    """
    tries, days = _failures(work, invoice), work.settings.retry_days
    retry = work.now + days[tries] * DAY if tries < len(days) else None
    return work.amend(invoice, {"auto_advance": retry is not None, "next_payment_attempt": retry})


def _follow_failure(work: Work, tried: Json) -> Json:
    """Count the attempt and update the subscription if the attempt failed. Return the invoice."""
    if tried["status"] == "open":
        work.note("tries", tried["id"], {"failed": _failures(work, tried) + 1})
        subscription = owner(work, tried)
        if subscription:
            _mark_unpaid(work, subscription, tried, last=tried["next_payment_attempt"] is None)
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
