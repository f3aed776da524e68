"""The organization's invoices, read from the mirror."""

from dataclasses import dataclass

from sqlalchemy import Select, and_, exists, func, or_, select, tuple_
from sqlalchemy.orm import Session, with_expression

from gateway.db.models import IS_UNPAID, NEWEST_FIRST, Charge, Invoice, Subscription
from gateway.errors import NotFound
from gateway.services.mirror.refresh import refresh
from gateway.services.runtime import Caller, Gateway
from gateway.stripe_api.snapshots import InvoiceSnapshot

# Other drafts are not visible. They can still change, and the organization does not owe them yet.
VISIBLE = ("open", "paid", "uncollectible", "void")
# Stripe leaves the invoices of an unpaid subscription as drafts, and it stays unpaid until they are paid.
# https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses
IS_LEFT_AS_DRAFT = and_(
    Invoice.status == "draft",
    Invoice.auto_advance.is_(False),
    exists().where(Subscription.id == Invoice.subscription_id, Subscription.status == "unpaid"),
)
REFUNDED = (
    select(func.coalesce(func.sum(Charge.amount_refunded), 0))
    .where(Charge.organization_id == Invoice.organization_id, Charge.invoice_id == Invoice.id)
    .scalar_subquery()
)
IS_VISIBLE = or_(Invoice.status.in_(VISIBLE), IS_LEFT_AS_DRAFT)
IS_PAYABLE = or_(and_(IS_UNPAID, Invoice.payment_under_way.is_not(True)), IS_LEFT_AS_DRAFT)


@dataclass(frozen=True, kw_only=True)
class InvoicePage:
    """One page of invoices, newest first."""

    data: list[Invoice]
    has_more: bool


def load_page(gateway: Gateway, caller: Caller, *, limit: int, starting_after: str | None) -> InvoicePage:
    """Return the invoices after ``starting_after``, or the newest. Raise NotFound if that is another's invoice."""
    query = select_visible(caller).order_by(*NEWEST_FIRST).limit(limit + 1)
    with gateway.database.reading() as session:
        if starting_after is not None:
            last = load_invoice(session, caller, starting_after)
            position = (last.created, len(last.number or ""), last.number or "", last.id)
            query = query.where(tuple_(*(each.element for each in NEWEST_FIRST)) < position)
        rows = session.scalars(query).all()
    return InvoicePage(data=list(rows[:limit]), has_more=len(rows) > limit)


def get_invoice(gateway: Gateway, caller: Caller, invoice_id: str) -> Invoice:
    """Return one invoice of the caller's organization. Raise NotFound."""
    with gateway.database.reading() as session:
        return load_invoice(session, caller, invoice_id)


def get_detailed_invoice(gateway: Gateway, caller: Caller, invoice_id: str) -> Invoice:
    """Return one invoice with its lines. Raise NotFound or StripeUnavailable.

    The mirror may lack the lines, because an event shows only ten. They are then retrieved once.
    """
    invoice = get_invoice(gateway, caller, invoice_id)
    if invoice.lines is not None:
        return invoice
    refresh(gateway, InvoiceSnapshot.kind, invoice.id)
    return get_invoice(gateway, caller, invoice_id)


def select_visible(caller: Caller) -> Select[Invoice]:
    """Select the invoices that the organization may see."""
    query = select(Invoice).options(with_expression(Invoice.amount_refunded, REFUNDED))
    return query.where(Invoice.organization_id == caller.organization_id, IS_VISIBLE)


def load_invoice(session: Session, caller: Caller, invoice_id: str) -> Invoice:
    """Load one of the organization's invoices in the caller's transaction. Raise NotFound."""
    found = None
    if "\0" not in invoice_id:  # PostgreSQL rejects it in a text
        found = session.scalars(select_visible(caller).where(Invoice.id == invoice_id)).one_or_none()
    if found is None:
        raise NotFound("There is no such invoice.")
    return found
