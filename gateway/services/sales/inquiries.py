"""Store inquiries from the contact form, and notify the sales team's own system of them.

An inquiry is a notification with the inquiry's id, see ``notifications.outbox``. Without ``GATEWAY_SALES_WEBHOOK_URL``
it is only stored.
"""

import uuid
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from gateway.db.models import Notification, SalesInquiry
from gateway.db.queries import among
from gateway.errors import InvalidRequest
from gateway.receivers import INQUIRY, SALES
from gateway.services.customers.customer import ensure_organization
from gateway.services.notifications.delivery import deliver_due
from gateway.services.notifications.outbox import Fact, build_row, to_text
from gateway.services.notifications.records import replay
from gateway.services.rate_limits.table import INQUIRIES
from gateway.services.runtime import Caller, Gateway


def store_inquiry(gateway: Gateway, caller: Caller, form: dict[str, str]) -> SalesInquiry:
    """Store an inquiry that ``SalesInquirySchema`` loaded, and its notification. Raise RateLimited.

    The transaction locks the organization's row, so that concurrent requests count each other. An organization whose
    customer was deleted may send inquiries too, because only the sales team can help it.
    """
    now = gateway.clock()
    with gateway.database.transaction() as session:
        ensure_organization(session, caller, now)
        refuse_too_many(session, caller, now)
        inquiry = SalesInquiry(
            id=f"inq_{uuid.uuid4().hex}",
            organization_id=caller.organization_id,
            actor=caller.actor,
            created_at=now,
            **form,
        )
        session.add(inquiry)
        if SALES in gateway.receivers:
            session.add(Notification(**build_row(describe_inquiry(inquiry), SALES, inquiry.id, now)))
        return inquiry


def refuse_too_many(session: Session, caller: Caller, now: datetime) -> None:
    """Raise RateLimited, with the seconds to wait, if the organization has used up its inquiries."""
    query = (
        select(SalesInquiry.created_at)
        .where(SalesInquiry.organization_id == caller.organization_id, SalesInquiry.created_at > now - INQUIRIES.window)
        .order_by(SalesInquiry.created_at.desc())
        .limit(INQUIRIES.amount)
    )
    INQUIRIES.refuse_more(session.scalars(query).all(), now, "We have your messages. Please wait for our answer.")


def describe_inquiry(inquiry: SalesInquiry) -> Fact:
    """Return the notification to the sales team's system."""
    names = ("id", "organization_id", "name", "email", "company", "message", "created_at")
    data = to_text((name, getattr(inquiry, name)) for name in names)
    return Fact(inquiry.organization_id, INQUIRY, data)


def find_inquiries(
    gateway: Gateway, *, undelivered: bool, limit: int
) -> list[tuple[SalesInquiry, Notification | None]]:
    """Return the newest inquiries, newest first, each with its notification. One that was only stored has none."""
    query = select(SalesInquiry, Notification).outerjoin(Notification, Notification.id == SalesInquiry.id)
    if undelivered:
        query = query.where(Notification.delivered_at.is_(None))
    newest = query.order_by(SalesInquiry.created_at.desc(), SalesInquiry.id).limit(limit)
    with gateway.database.reading() as session:
        return [(inquiry, notification) for inquiry, notification in session.execute(newest)]


def deliver_inquiries(gateway: Gateway, limit: int) -> tuple[int, int]:
    """Send the newest undelivered inquiries now, and return how many were delivered and how many there were.

    Raise InvalidRequest if no receiver is set.
    """
    if SALES not in gateway.receivers:
        raise InvalidRequest("GATEWAY_SALES_WEBHOOK_URL is not set.")
    now = gateway.clock()
    found = find_inquiries(gateway, undelivered=True, limit=limit)
    stored = [build_row(describe_inquiry(each), SALES, each.id, now) for each, sent in found if sent is None]
    if stored:
        with gateway.database.transaction() as session:
            session.execute(insert(Notification).on_conflict_do_nothing(), stored)
    ids = [inquiry.id for inquiry, _ in found]
    replay(gateway, ids)
    for _ in deliver_due(gateway, SALES):
        pass
    delivered = select(func.count()).where(among(Notification.id, ids), Notification.delivered_at.is_not(None))
    with gateway.database.reading() as session:
        return session.scalar(delivered) or 0, len(ids)
