"""The unpaid invoice that an organization should take care of, and what Stripe does next about it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from sqlalchemy import bindparam, select

from gateway.db.models import IS_UNPAID, Invoice, Subscription
from gateway.db.prepared import Prepared
from gateway.db.session import Database
from gateway.services.plan_table.standing import GOOD, UNDECIDED, Debt, read_debt

Unpaid = tuple[Subscription, Invoice]
UNPAID_INVOICES = Prepared(
    select(Subscription, Invoice)
    .join(Invoice, Invoice.subscription_id == Subscription.id)
    .where(Invoice.organization_id == bindparam("organization_id"), Subscription.had_plan, IS_UNPAID)
    .order_by(Invoice.created, Invoice.id)
)


class Reason(StrEnum):
    """Why an invoice is unpaid, from the most urgent to the least."""

    RETRIES_ENDED = "retries_ended"
    """Stripe will not try again, so the plan is suspended until the organization pays."""
    OVERDUE = "overdue"
    """Stripe sent the invoice, and its due date is over."""
    ACTION_REQUIRED = "action_required"
    """The cardholder must approve the payment on Stripe's page."""
    PAYMENT_METHOD_REQUIRED = "payment_method_required"
    """There is no payment method on file that Stripe could charge."""
    PAYMENT_FAILED = "payment_failed"
    """The payment failed, and Stripe will try again."""


REASONS: Mapping[Debt, Reason] = MappingProxyType(
    {
        Debt.RETRIED: Reason.PAYMENT_FAILED,
        Debt.NOT_KNOWN: Reason.RETRIES_ENDED,
        Debt.GIVEN_UP: Reason.RETRIES_ENDED,
        Debt.OVERDUE: Reason.OVERDUE,
        Debt.OVERDUE_TRIED: Reason.OVERDUE,
    }
)
"""The debts that are a problem. The others are not due yet, or their payment is in progress."""
URGENCY = tuple(Reason)


@dataclass(frozen=True, kw_only=True)
class PaymentProblem:
    """An unpaid invoice, with the page at Stripe where it can be paid."""

    reason: Reason
    invoice: str
    pay_url: str | None
    next_attempt_at: datetime | None
    """When Stripe tries again. None if it will not."""


def load_unpaid_invoices(database: Database, organization_id: str) -> Sequence[Unpaid]:
    """Return the unpaid invoices of plans, with their subscriptions, oldest first."""
    rows = UNPAID_INVOICES.read(database, {"organization_id": organization_id})
    return [(subscription, invoice) for subscription, invoice in rows]


def find_payment_problem(unpaid: Iterable[Unpaid], standing: str, *, has_method: bool) -> PaymentProblem | None:
    """Return the most urgent problem among the unpaid invoices, or None.

    An invoice that only a lookup at Stripe can decide is no problem while the standing is good.
    """
    found = []
    for subscription, invoice in unpaid:
        debt = read_debt(subscription, invoice)
        reason = REASONS.get(debt) if debt is not None else None
        if reason is not None and not (debt in UNDECIDED and standing == GOOD):
            found.append((choose_reason(reason, invoice, has_method=has_method), invoice))
    if not found:
        return None
    reason, invoice = min(found, key=lambda each: URGENCY.index(each[0]))
    return PaymentProblem(
        reason=reason,
        invoice=invoice.id,
        pay_url=invoice.hosted_invoice_url,
        next_attempt_at=invoice.next_payment_attempt,
    )


def choose_reason(reason: Reason, invoice: Invoice, *, has_method: bool) -> Reason:
    """Return the reason why Stripe's next attempt would fail too, or else ``reason``."""
    if reason is not Reason.PAYMENT_FAILED:
        return reason
    if not has_method:
        return Reason.PAYMENT_METHOD_REQUIRED
    return Reason.ACTION_REQUIRED if invoice.action_required else reason
