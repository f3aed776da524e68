"""The organization's invoices, from the mirror; Stripe is asked only to charge one."""

import uuid
from dataclasses import dataclass

from sqlalchemy import Select, select, tuple_
from sqlalchemy.orm import Session

from gateway.db.models import Invoice
from gateway.errors import CardDeclined, InvoiceNotOpen, NotFound, PaymentActionRequired, StripeRejected
from gateway.services.mirror.refresh import merge_answer, refresh
from gateway.services.plan_table.attribution import PAYMENT_KEY_PREFIX
from gateway.services.runtime import Caller, Gateway
from gateway.stripe_api.client import needs_action, stripe_call
from gateway.stripe_api.snapshots import InvoiceSnapshot

SHOWN = ("open", "paid", "uncollectible", "void")  # a draft may still change, and is nobody's debt
PAYABLE = ("open", "uncollectible")


@dataclass(frozen=True, kw_only=True)
class Page:
    """Invoices, newest first."""

    data: list[Invoice]
    has_more: bool


def page(gateway: Gateway, caller: Caller, *, limit: int, starting_after: str | None) -> Page:
    """The invoices after the one named, or the newest. Raises NotFound if it is not the organization's."""
    query = mine(caller).order_by(Invoice.created.desc(), Invoice.id.desc()).limit(limit + 1)
    with gateway.database.transaction() as session:
        if starting_after is not None:
            last = one(session, caller, starting_after)
            query = query.where(tuple_(Invoice.created, Invoice.id) < (last.created, last.id))
        rows = session.scalars(query).all()
    return Page(data=list(rows[:limit]), has_more=len(rows) > limit)


def get(gateway: Gateway, caller: Caller, invoice_id: str) -> Invoice:
    """One of them. Raises NotFound."""
    with gateway.database.transaction() as session:
        return one(session, caller, invoice_id)


def pay(gateway: Gateway, caller: Caller, invoice_id: str) -> Invoice:
    """Charge it to the default card; one that is paid already stays so, which makes a repetition harmless.

    Raises NotFound, InvoiceNotOpen, CardDeclined, PaymentActionRequired, and StripeUnavailable: then nobody knows
    whether it was charged, and the same request again does it once at most, since Stripe charges no paid invoice.
    """
    invoice = get(gateway, caller, invoice_id)
    if invoice.status in PAYABLE:
        try:
            charge(gateway, invoice)
        except StripeRejected:  # not as it is known here: perhaps it was paid a moment ago
            refresh(gateway, InvoiceSnapshot.kind, invoice.id)
            if get(gateway, caller, invoice_id).status in PAYABLE:
                raise
        invoice = get(gateway, caller, invoice_id)
    if invoice.status != "paid":
        raise InvoiceNotOpen("There is nothing to be paid on this invoice.")
    return invoice


def charge(gateway: Gateway, invoice: Invoice) -> None:
    """Make the call, with the person present who may have to approve it."""
    try:
        with stripe_call():
            # A key of its own each time, since a decline would be repeated by it; it says in the events who paid.
            key = f"{PAYMENT_KEY_PREFIX}{invoice.id}:{uuid.uuid4().hex}"
            answer = gateway.stripe.v1.invoices.pay(invoice.id, {"off_session": False}, {"idempotency_key": key})
    except CardDeclined as error:
        refresh(gateway, InvoiceSnapshot.kind, invoice.id)
        if needs_action(error):
            raise PaymentActionRequired(
                "The payment must be approved first.", hosted_invoice_url=invoice.hosted_invoice_url
            ) from error
        raise
    merge_answer(gateway, InvoiceSnapshot, answer, cause="invoice paid", after_revision=invoice.revision)


def mine(caller: Caller) -> Select[Invoice]:
    """The organization's, as far as they are shown."""
    return select(Invoice).where(Invoice.organization_id == caller.organization_id, Invoice.status.in_(SHOWN))


def one(session: Session, caller: Caller, invoice_id: str) -> Invoice:
    """One of the organization's. Raises NotFound."""
    found = None
    if "\0" not in invoice_id:  # which PostgreSQL's text refuses
        found = session.scalars(mine(caller).where(Invoice.id == invoice_id)).one_or_none()
    if found is None:
        raise NotFound("There is no such invoice.")
    return found
