"""Invoices, and the one that Stripe announces before it exists."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Self

from gateway.stripe_api.events import JsonObject, UnreadableObject
from gateway.stripe_api.snapshots.base import Seen, Snapshot, id_of, integer, natural, required_id, strict, text, word
from gateway.stripe_api.times import from_unix, from_unix_or_none

# How far an invoice has come. An uncollectible one may still be paid; paid, void and deleted are the end.
# https://docs.stripe.com/invoicing/integration/workflow-transitions
PROGRESS = {"draft": 0, "open": 1, "uncollectible": 2, "paid": 3, "void": 3, "deleted": 3}
SETTLED = frozenset(status for status, step in PROGRESS.items() if step == max(PROGRESS.values()))


def subscription_of(invoice: JsonObject) -> str | None:
    """The subscription an invoice belongs to, or None for a one-off (since basil below ``parent``)."""
    if "subscription" in invoice:
        raise UnreadableObject("an invoice as it was before basil")
    parent = invoice["parent"]
    if parent is None or parent["type"] != "subscription_details":
        return None
    return required_id(parent["subscription_details"]["subscription"])


@strict
def upcoming_of(invoice: JsonObject) -> str | None:
    """The subscription of an announced invoice that cannot be read otherwise, also as it stood before basil."""
    return id_of(invoice["subscription"]) if "subscription" in invoice else subscription_of(invoice)


@dataclass(frozen=True, kw_only=True)
class InvoiceSnapshot(Snapshot):
    """An invoice: https://docs.stripe.com/api/invoices/object."""

    kind: ClassVar[str] = "invoice"

    customer_id: str
    subscription_id: str | None
    status: str
    billing_reason: str | None
    number: str | None
    currency: str
    total: int
    amount_due: int
    amount_paid: int
    amount_remaining: int
    next_payment_attempt: datetime | None
    # Links are made anew for each answer; another link is not another state.
    hosted_invoice_url: str | None = field(compare=False)
    invoice_pdf: str | None = field(compare=False)
    created: datetime

    @property
    def owner(self) -> str:
        """Its customer."""
        return self.customer_id

    @property
    def rank(self) -> int:
        """Drafts are finalized, open ones paid or given up; never the other way round."""
        return PROGRESS[self.status]

    @classmethod
    @strict
    def read(cls, stripe_object: JsonObject, seen: Seen) -> Self:
        """Read an invoice; ``deleted`` is our word for a draft that Stripe deleted."""
        if stripe_object["status"] not in PROGRESS:
            raise UnreadableObject(f"unknown status {stripe_object['status']!r}")
        return cls(
            id=required_id(stripe_object),
            customer_id=required_id(stripe_object["customer"]),
            subscription_id=subscription_of(stripe_object),
            status=stripe_object["status"],
            billing_reason=text(stripe_object["billing_reason"]),
            number=text(stripe_object["number"]),
            currency=word(stripe_object["currency"]),
            total=integer(stripe_object["total"]),
            amount_due=integer(stripe_object["amount_due"]),
            amount_paid=integer(stripe_object["amount_paid"]),
            amount_remaining=integer(stripe_object["amount_remaining"]),
            next_payment_attempt=from_unix_or_none(stripe_object["next_payment_attempt"]),
            hosted_invoice_url=text(stripe_object["hosted_invoice_url"]),
            invoice_pdf=text(stripe_object["invoice_pdf"]),
            created=from_unix(stripe_object["created"]),
            seen=seen,
        )


@dataclass(frozen=True, kw_only=True)
class UpcomingInvoiceSnapshot(Snapshot):
    """The charges that Stripe calculated days ahead, under the subscription's id: this invoice has none."""

    kind: ClassVar[str] = "upcoming_invoice"

    customer_id: str
    amount_due: int
    currency: str
    billing_date: datetime

    @property
    def owner(self) -> str:
        """Its customer."""
        return self.customer_id

    @classmethod
    @strict
    def read(cls, stripe_object: JsonObject, seen: Seen) -> Self:
        """Read the invoice in an ``invoice.upcoming`` event."""
        subscription_id = subscription_of(stripe_object)
        if subscription_id is None:
            raise UnreadableObject("an upcoming invoice without a subscription")
        return cls(
            id=subscription_id,
            customer_id=required_id(stripe_object["customer"]),
            amount_due=natural(stripe_object["amount_due"]),
            currency=word(stripe_object["currency"]),
            billing_date=from_unix(stripe_object["period_end"]),
            seen=seen,
        )
