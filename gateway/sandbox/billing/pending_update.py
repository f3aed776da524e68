"""Changes that wait for their payment (https://docs.stripe.com/billing/subscriptions/pending-updates)."""

from gateway.sandbox.billing import discounts, on_file
from gateway.sandbox.billing.ledger import Proration, record
from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.bank_accounts import account_of
from gateway.sandbox.objects.subscription import items_of
from gateway.sandbox.work import Work

LIFETIME = 23 * 3600
"""Seconds until a pending update expires. It expires earlier if an item's period ends first."""
_SUPPORTED = frozenset(
    {
        "add_invoice_items",
        "billing_cycle_anchor",
        "cancel_at_period_end",
        "discounts",
        "expand",
        "items",
        "metadata",
        "off_session",
        "payment_behavior",
        "proration_behavior",
        "proration_date",
        "trial_end",
        "trial_from_plan",
    }
)
"""Parameters of https://docs.stripe.com/billing/subscriptions/pending-updates that the sandbox implements."""
_APPLIED = ("customer.subscription.updated", "customer.subscription.pending_update_applied")


def refuse_others(params: Json) -> None:
    """Raise 400 for a parameter that cannot wait for a payment. Stripe's own message was not recorded."""
    for name in sorted(params.keys() - _SUPPORTED):
        text = f"When `payment_behavior` is `pending_if_incomplete`, `{name}` cannot be updated."
        raise invalid(text, param=name)


def refuse_late_payers(work: Work, subscription: Json) -> None:
    """Raise 400 if the subscription's invoices are sent or paid by bank debit. The texts are inferred."""
    if subscription["collection_method"] == "send_invoice":
        raise invalid("Pending updates require `collection_method=charge_automatically`.", param="payment_behavior")
    method = on_file.method(work, subscription, subscription["customer"])
    if method and account_of(method):
        raise invalid("Pending updates do not support bank debits.", param="payment_behavior")


def park(
    work: Work,
    subscription: Json,
    fields: Json,
    owed: list[tuple[Proration, str]],
    invoice: str,
    *,
    events: tuple[str, ...] = _APPLIED,
) -> Json:
    """Show the change as pending, and keep what ``apply()`` needs, such as its ``events``."""
    ends = [item["current_period_end"] for item in items_of(subscription) if item["current_period_end"] > work.now]
    shown = {
        "billing_cycle_anchor": fields.get("billing_cycle_anchor"),
        "discounts": fields.get("discounts"),
        "expires_at": min(work.now + LIFETIME, *ends) if ends else work.now + LIFETIME,
        "subscription_items": fields["items"]["data"],
        "trial_end": None,
        "trial_from_plan": None,
    }
    kept = {"fields": fields, "owed": owed, "invoice": invoice, "events": events}
    work.note("pending_update", subscription["id"], kept)
    return work.update(subscription, {"pending_update": shown, "latest_invoice": invoice})


def applies(work: Work, subscription: Json, invoice: Json) -> bool:
    """Return whether the pending update waits for this invoice."""
    return bool(subscription["pending_update"]) and invoice_of(work, subscription) == invoice["id"]


def invoice_of(work: Work, subscription: Json) -> str | None:
    """Return the open invoice of the pending update, or None."""
    kept = work.recall("pending_update", subscription["id"])
    return kept["invoice"] if kept else None


def apply(work: Work, subscription: Json) -> Json:
    """Apply the pending update after its invoice was paid."""
    kept = work.recall("pending_update", subscription["id"]) or {}
    for proration, invoice_item in kept["owed"]:
        record(work, proration, invoice_item)
    applied = work.update(subscription, kept["fields"] | {"pending_update": None}, *kept["events"])
    discounts.announce(work, subscription, applied)
    return discounts.drop_over(work, applied)


def discard(work: Work, subscription: Json) -> Json:
    """Discard the pending update after its invoice was voided."""
    return work.update(subscription, {"pending_update": None})
