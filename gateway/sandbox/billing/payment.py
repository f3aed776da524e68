"""The charge of an invoice to a payment method, and its effect on the subscription."""

from gateway.sandbox.billing import cards, disputes, intents, on_file, pending_update, standing
from gateway.sandbox.billing.invoicing import mark_paid
from gateway.sandbox.errors import StripeError, card_error, invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.bank_accounts import CURRENCY, account_of
from gateway.sandbox.objects.invoice import subscription_of
from gateway.sandbox.objects.payment_method import card_of, decline_of
from gateway.sandbox.objects.special_cards import Decline
from gateway.sandbox.work import Work

_NO_CARD = (
    "This customer has no attached payment source or default payment method. Please consider adding a default "
    "payment method. "
    "For more information, visit https://stripe.com/docs/billing/subscriptions/payment-methods-setting#payment-method-priority."
)
_NEEDS_ACTION = (
    "Payment for this subscription requires additional user action, but the requested payment behavior doesn't save "
    "the invoice or "
    "PaymentIntent. Retry the request with `payment_behavior=allow_incomplete` or "
    "`payment_behavior=default_incomplete`, then "
    "complete the PaymentIntent on the subscription's latest invoice. Additional information is available here: "
    "https://stripe.com/docs/billing/subscriptions/overview#requires-action"
)
_WRONG_CURRENCY = Decline(
    "payment_method_currency_mismatch",
    "The payment method cannot be charged in the currency of the invoice.",  # inferred wording
)
_NO_DEBIT_OF_UPDATE = "Pending updates do not support bank debits. Pay this invoice with a card."  # inferred wording


def card_for(work: Work, subscription: Json | None, customer_id: str) -> Json:
    """Return the payment method on file. Raise 400 if there is none."""
    card = on_file.method(work, subscription, customer_id)
    if card is None:
        raise invalid(_NO_CARD, code="resource_missing")
    return card


def refuse_incomplete(work: Work, card: Json) -> None:
    """Raise the error of ``error_if_incomplete`` if the card cannot pay now."""
    if cards.needs_approval(work, card, on_session=False):
        raise card_error("subscription_payment_intent_requires_action", _NEEDS_ACTION)
    decline = decline_of(card)
    if decline:
        raise cards.declined(decline)


def charge(  # one parameter per circumstance
    work: Work,
    invoice: Json,
    card: Json,
    *,
    automatic: bool = True,
    on_session: bool = False,
    approved: bool = False,
    return_url: str | None = None,
) -> Json:
    """Try the payment method once, and return the invoice. Its ``status`` says whether it is paid.

    A bank account's invoice stays open until ``end_debit()``.

    ``automatic`` means that no request caused this attempt. ``on_session`` means that the cardholder is present.
    After the approval page, the holder is sent to ``return_url``. ``approved`` means that the holder approved.
    """
    intent = intents.intent_of(work, invoice["id"]) or {}
    if can_debit(card, invoice):
        return _begin_debit(work, invoice, card, automatic=automatic)
    if not approved and cards.needs_approval(work, card, on_session=on_session):
        intents.ask_holder(work, intent, card, return_url)
        return _wait_for_holder(work, invoice, automatic=automatic)
    if approved:
        cards.remember_set_up(work, card)
    decline = _WRONG_CURRENCY if account_of(card) else decline_of(card)
    if decline:
        intents.fail(work, intent, card, decline, approved=approved)
        return fail(work, invoice, automatic=automatic)
    intents.succeed(work, intent, card, approved=approved)
    return _paid(work, invoice, card, automatic=automatic)


def can_debit(card: Json, invoice: Json) -> bool:
    """Return whether the payment method is a bank account in the invoice's currency."""
    return bool(CURRENCY.get(card["type"]) == invoice["currency"])


def _begin_debit(work: Work, invoice: Json, account: Json, *, automatic: bool) -> Json:
    """Ask the account's bank for the money.

    Until it answers, the invoice is open and not retried. An ``incomplete`` subscription becomes active now
    (https://docs.stripe.com/billing/subscriptions/ach-debit).
    """
    subscription_id = subscription_of(invoice)
    subscription = work.find("subscription", subscription_id) if subscription_id else None
    if subscription and not automatic and pending_update.applies(work, subscription, invoice):
        raise invalid(_NO_DEBIT_OF_UPDATE)
    cards.attach(work, account, invoice["customer"])
    intents.begin_debit(work, intents.intent_of(work, invoice["id"]) or {}, account)
    tries = _counted(invoice, automatic=automatic)
    changes = {"attempted": True, "attempt_count": invoice["attempt_count"] + tries}
    waiting = work.update(work.amend(invoice, {"next_payment_attempt": None}), changes)
    if subscription and subscription["status"] == "incomplete" and subscription["latest_invoice"] == invoice["id"]:
        work.update(subscription, {"status": "active"})
    return waiting


def end_debit(work: Work, invoice: Json) -> Json:
    """Store the answer of the bank that was asked, and return the invoice, paid or open."""
    intent = intents.intent_of(work, invoice["id"]) or {}
    card = work.get("payment_method", intent["payment_method"])
    account = account_of(card)
    decline = account.decline if account else None
    intents.end_debit(work, intent, card, decline)
    if decline is None:
        return _paid(work, invoice, card, automatic=False)
    failed = work.update(invoice, {})
    work.tell("invoice.payment_failed", failed)
    return failed


def fail(work: Work, invoice: Json, *, automatic: bool = True) -> Json:
    """Store an attempt that failed because the card was declined or missing."""
    changes = {"attempted": True, "attempt_count": invoice["attempt_count"] + _counted(invoice, automatic=automatic)}
    failed = work.update(invoice, changes)
    work.tell("invoice.payment_failed", failed)
    return failed


def _counted(invoice: Json, *, automatic: bool) -> int:
    """Return 1 for the first attempt and for automatic ones, else 0, as the SDK says of ``Invoice.attempt_count``."""
    return int(automatic or not invoice["attempt_count"])


def _wait_for_holder(work: Work, invoice: Json, *, automatic: bool) -> Json:
    """Store an attempt that waits for the cardholder.

    On a subscription's first invoice it does not count as an attempt, as recorded from Stripe's API, 2026-08-26.dahlia.
    It is an inference that it counts at a renewal, where the holder is absent.
    """
    renewal = invoice["billing_reason"] == "subscription_cycle"
    tries = _counted(invoice, automatic=automatic) if renewal else 0
    changes = {"attempted": True, "attempt_count": invoice["attempt_count"] + tries}
    waiting = work.update(invoice, changes)
    work.tell("invoice.payment_failed", waiting)
    work.tell("invoice.payment_action_required", waiting)
    return waiting


def _paid(work: Work, invoice: Json, card: Json, *, automatic: bool) -> Json:
    """Mark the invoice as paid by the card, and update its subscription."""
    cards.attach(work, card, invoice["customer"])
    intents.settle_payment(work, invoice["id"])
    tries = _counted(invoice, automatic=automatic)
    paid = mark_paid(work, invoice, attempts=tries, charged=invoice["amount_due"])
    follow_up(work, paid, card)
    _dispute(work, invoice, card)
    return work.get("invoice", invoice["id"])


def _dispute(work: Work, invoice: Json, card: Json) -> None:
    """Dispute the charge if the test card is for that (https://docs.stripe.com/testing#disputes)."""
    test_card = card_of(card)
    intent = intents.intent_of(work, invoice["id"])
    if test_card and test_card.dispute and intent:
        charge = work.get("charge", intent["latest_charge"])
        disputes.open_dispute(work, charge, charge["amount"], test_card.dispute)


def approve(work: Work, intent: Json) -> Json:
    """Charge the card after the cardholder approved, and return the intent."""
    card = work.get("payment_method", intent["payment_method"])
    charge(work, intents.invoice_of(work, intent), card, automatic=False, on_session=True, approved=True)
    return work.get("payment_intent", intent["id"])


def last_error(intent: Json) -> StripeError:
    """Return the 402 for an intent's last failed attempt.

    It carries the intent and the card, as recorded from Stripe's API, 2026-08-26.dahlia.
    """
    fields = intent["last_payment_error"] | {"payment_intent": intent}
    return StripeError(402, fields.pop("type"), fields.pop("message"), **fields)


def settle_elsewhere(work: Work, invoice: Json) -> Json:
    """Mark the invoice as paid out of band. No attempt counts, as recorded from Stripe's API, 2026-08-26.dahlia."""
    intents.cancel(work, invoice["id"], "automatic")  # Stripe's own reason was not recorded
    paid = mark_paid(work, invoice, attempts=0, charged=invoice["amount_due"], attempted=invoice["attempted"])
    follow_up(work, paid, None)
    return paid


def follow_up(work: Work, invoice: Json, card: Json | None) -> None:
    """Apply a paid invoice to its subscription, if it has one."""
    subscription_id = subscription_of(invoice)
    subscription = work.find("subscription", subscription_id) if subscription_id else None
    if subscription is None:
        return
    if pending_update.applies(work, subscription, invoice):
        subscription = pending_update.apply(work, subscription)
    changes: Json = {}
    is_latest = subscription["latest_invoice"] == invoice["id"]
    if subscription["status"] in {"incomplete", "past_due", "unpaid"} and is_latest:
        changes["status"] = "active"
    if card and subscription["payment_settings"]["save_default_payment_method"] == "on_subscription":
        changes["default_payment_method"] = card["id"]
    work.update(subscription, changes)
    standing.restore(work, invoice)
