"""The organization's invoices, from the mirror."""

from dataclasses import dataclass

from sqlalchemy import Select, select, tuple_
from sqlalchemy.orm import Session

from gateway.db.models import Invoice
from gateway.errors import NotFound
from gateway.services.runtime import Caller, Gateway

SHOWN = ("open", "paid", "uncollectible", "void")  # a draft may still change, and is nobody's debt


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
