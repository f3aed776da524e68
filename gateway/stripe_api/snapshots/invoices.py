"""Snapshots of invoices, including the upcoming invoice that Stripe announces before it creates it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Self

from gateway.stripe_api.events import JsonObject, UnreadableObject
from gateway.stripe_api.snapshots.base import (
    Seen,
    Snapshot,
    flag,
    id_of,
    integer,
    natural,
    required_id,
    strict,
    text,
    word,
)
from gateway.stripe_api.snapshots.invoice_lines import InvoiceLine, read_lines
from gateway.stripe_api.times import from_unix, from_unix_or_none

# Each status with its rank. An uncollectible invoice may still be paid. Paid, void and deleted are final.
# https://docs.stripe.com/invoicing/integration/workflow-transitions
RANKS = {"draft": 0, "open": 1, "uncollectible": 2, "paid": 3, "void": 3, "deleted": 3}
SETTLED = frozenset(status for status, rank in RANKS.items() if rank == max(RANKS.values()))


def subscription_of(invoice: JsonObject) -> str | None:
    """Return the id of the invoice's subscription, or None for a one-off invoice.

    Since API version basil the subscription is below ``parent``. Raise UnreadableObject for an older invoice.
    """
    if "subscription" in invoice:
        raise UnreadableObject("the invoice has the shape of an API version before basil")
    parent = invoice["parent"]
    if parent is None or parent["type"] != "subscription_details":
        return None
    return required_id(parent["subscription_details"]["subscription"])


@strict
def upcoming_of(invoice: JsonObject) -> str | None:
    """Return the subscription's id from an upcoming invoice that is otherwise unreadable, also from before basil."""
    return id_of(invoice["subscription"]) if "subscription" in invoice else subscription_of(invoice)


def is_payment_under_way(invoice: JsonObject, shown_at: datetime) -> bool | None:
    """Return whether a payment of the invoice is in progress. A bank debit takes days.

    Return None if the payments are not expanded. Also return None where False would decide nothing, because Stripe
    will try the invoice again, or nothing is owed yet. https://docs.stripe.com/payments/paymentintents/lifecycle
    """
    if "payments" not in invoice or invoice["status"] != "open":
        return None
    if has_intent(invoice, "processing"):
        return True
    is_due = invoice["due_date"] is None or from_unix(invoice["due_date"]) <= shown_at
    return False if is_due and invoice["attempted"] and invoice["next_payment_attempt"] is None else None


def is_action_required(invoice: JsonObject) -> bool | None:
    """Return whether a payment waits for the cardholder's approval. Return None if the payments are not expanded."""
    if "payments" not in invoice or invoice["status"] != "open":
        return None
    return has_intent(invoice, "requires_action")


def has_intent(invoice: JsonObject, status: str) -> bool:
    """Return whether the expanded payments of an invoice have an intent in ``status``."""
    intents = [each["payment"].get("payment_intent") for each in invoice["payments"]["data"]]
    return any(isinstance(intent, dict) and intent["status"] == status for intent in intents)


@dataclass(frozen=True, kw_only=True)
class InvoiceSnapshot(Snapshot):
    """An invoice: https://docs.stripe.com/api/invoices/object."""

    kind: ClassVar[str] = "invoice"

    customer_id: str
    subscription_id: str | None
    status: str
    billing_reason: str | None
    collection_method: str
    due_date: datetime | None
    """When an invoice that Stripe sends must be paid. None if Stripe charges the customer."""
    attempted: bool
    attempt_count: int
    """How often Stripe tried to collect the invoice on its own schedule. Attempts by request are not counted."""
    auto_advance: bool
    number: str | None
    currency: str
    total: int
    # Older rows lack it, so comparing it would make each of them look out of date.
    taxes: int | None = field(compare=False)
    """The taxes that the total contains."""
    amount_due: int
    amount_paid: int
    amount_remaining: int
    amount_credited: int
    """What credit notes took off the invoice, or gave back of what was paid."""
    next_payment_attempt: datetime | None
    # Only a lookup shows it, so comparing it would make every lookup look like a change.
    payment_under_way: bool | None = field(compare=False)
    """Whether a payment is in progress, as ``is_payment_under_way`` says."""
    action_required: bool | None = field(compare=False)  # only a lookup shows it
    # Stripe makes new links for each answer. Comparing them would make every answer look like a change.
    hosted_invoice_url: str | None = field(compare=False)
    invoice_pdf: str | None = field(compare=False)
    # A finalized invoice keeps its lines, and a draft with other lines has another total.
    lines: tuple[InvoiceLine, ...] | None = field(compare=False)
    """The lines. None if Stripe has not shown all of them."""
    period_end: datetime = field(compare=False)
    """When what the invoice collects was due."""
    created: datetime

    @property
    def owner(self) -> str:
        """Return the invoice's customer."""
        return self.customer_id

    @property
    def rank(self) -> int:
        """Return the rank of the status. An invoice never goes back from open to draft, or from paid to open."""
        return RANKS[self.status]

    @classmethod
    @strict
    def read(cls, stripe_object: JsonObject, seen: Seen) -> Self:
        """Read an invoice. ``deleted`` is our own status for a draft that was deleted at Stripe."""
        if stripe_object["status"] not in RANKS:
            raise UnreadableObject(f"unknown status {stripe_object['status']!r}")
        return cls(
            id=required_id(stripe_object),
            customer_id=required_id(stripe_object["customer"]),
            subscription_id=subscription_of(stripe_object),
            status=stripe_object["status"],
            billing_reason=text(stripe_object["billing_reason"]),
            collection_method=word(stripe_object["collection_method"]),
            due_date=from_unix_or_none(stripe_object["due_date"]),
            attempted=flag(stripe_object["attempted"]),
            attempt_count=natural(stripe_object["attempt_count"]),
            auto_advance=flag(stripe_object["auto_advance"]),
            number=text(stripe_object["number"]),
            currency=word(stripe_object["currency"]),
            total=integer(stripe_object["total"]),
            taxes=sum(integer(each["amount"]) for each in stripe_object["total_taxes"] or ()),
            amount_due=integer(stripe_object["amount_due"]),
            amount_paid=integer(stripe_object["amount_paid"]),
            amount_remaining=integer(stripe_object["amount_remaining"]),
            amount_credited=integer(stripe_object["pre_payment_credit_notes_amount"])
            + integer(stripe_object["post_payment_credit_notes_amount"]),
            next_payment_attempt=from_unix_or_none(stripe_object["next_payment_attempt"]),
            payment_under_way=is_payment_under_way(stripe_object, seen.as_of),
            action_required=is_action_required(stripe_object),
            hosted_invoice_url=text(stripe_object["hosted_invoice_url"]),
            invoice_pdf=text(stripe_object["invoice_pdf"]),
            lines=read_lines(stripe_object),
            period_end=from_unix(stripe_object["period_end"]),
            created=from_unix(stripe_object["created"]),
            seen=seen,
        )


@dataclass(frozen=True, kw_only=True)
class UpcomingInvoiceSnapshot(Snapshot):
    """The charges that Stripe calculates days ahead. This invoice has no id, so the subscription's id stands for it."""

    kind: ClassVar[str] = "upcoming_invoice"

    customer_id: str
    amount_due: int
    currency: str
    billing_date: datetime
    total: int
    lines: tuple[InvoiceLine, ...] | None
    """The lines. None if Stripe has not shown all of them."""

    @property
    def owner(self) -> str:
        """Return the invoice's customer."""
        return self.customer_id

    @classmethod
    @strict
    def read(cls, stripe_object: JsonObject, seen: Seen) -> Self:
        """Read the invoice in an ``invoice.upcoming`` event."""
        subscription_id = subscription_of(stripe_object)
        if subscription_id is None:
            raise UnreadableObject("the upcoming invoice has no subscription")
        return cls(
            id=subscription_id,
            customer_id=required_id(stripe_object["customer"]),
            amount_due=natural(stripe_object["amount_due"]),
            currency=word(stripe_object["currency"]),
            billing_date=from_unix(stripe_object["period_end"]),
            total=integer(stripe_object["total"]),
            lines=read_lines(stripe_object),
            seen=seen,
        )
