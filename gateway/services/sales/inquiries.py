"""Store inquiries from the contact form.

The same transaction queues a job, in which ``delivery.deliver_inquiry`` sends the inquiry to the sales team's system.
"""

import uuid
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.db import jobs
from gateway.db.models import SalesInquiry
from gateway.services.customers.customer import ensure_organization
from gateway.services.rate_limits.table import INQUIRIES
from gateway.services.runtime import Caller, Gateway


def store_inquiry(gateway: Gateway, caller: Caller, form: dict[str, str]) -> SalesInquiry:
    """Store an inquiry that ``SalesInquirySchema`` loaded, and queue its delivery. Raise RateLimited.

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
        if gateway.config.sales_webhook_url is not None:
            defer_delivery(session, inquiry, at=now)
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


def defer_delivery(session: Session, inquiry: SalesInquiry, *, at: datetime) -> None:
    """Queue the next attempt, unless one is already queued.

    ``delivery.deliver_inquiry`` makes the attempt in the worker.
    """
    inquiry.next_attempt_at = at
    key = f"inquiry:{inquiry.id}"
    jobs.defer(session, jobs.DELIVER_INQUIRY, {"inquiry_id": inquiry.id}, queueing_lock=key, lock=key, at=at)


def find_inquiries(gateway: Gateway, *, undelivered: bool, limit: int) -> list[SalesInquiry]:
    """Return the newest inquiries, newest first."""
    query = select(SalesInquiry).order_by(SalesInquiry.created_at.desc(), SalesInquiry.id).limit(limit)
    if undelivered:
        query = query.where(SalesInquiry.delivered_at.is_(None))
    with gateway.database.transaction() as session:
        return list(session.scalars(query))
