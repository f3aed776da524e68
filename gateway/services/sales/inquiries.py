"""The contact form: stored first, then handed on to sales by a job of the same transaction."""

import math
import uuid
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.db import jobs
from gateway.db.models import SalesInquiry
from gateway.errors import RateLimited
from gateway.services.customers.customer import ensure_organization
from gateway.services.runtime import Caller, Gateway

MAX_INQUIRIES, WINDOW = 5, timedelta(hours=1)  # a person who writes a sixth one within the hour is no person


def store_inquiry(gateway: Gateway, caller: Caller, form: dict[str, str]) -> SalesInquiry:
    """Store what ``SalesInquirySchema`` loaded. Raises RateLimited.

    The organization's row is locked meanwhile, so that requests on several machines count each other. An organization
    whose customer was deleted may ask as well: that is what sales is for then.
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
    """Raises RateLimited if as many as may be were stored within the time, and says when the next one may be."""
    query = (
        select(SalesInquiry.created_at)
        .where(SalesInquiry.organization_id == caller.organization_id, SalesInquiry.created_at > now - WINDOW)
        .order_by(SalesInquiry.created_at.desc())
        .limit(MAX_INQUIRIES)
    )
    recent = session.scalars(query).all()
    if len(recent) == MAX_INQUIRIES:
        seconds = math.ceil((recent[-1] + WINDOW - now).total_seconds())
        raise RateLimited("We have your messages; please wait for our answer.", headers={"Retry-After": str(seconds)})


def defer_delivery(session: Session, inquiry: SalesInquiry, *, at: datetime) -> None:
    """Enqueue the next attempt; one waits at a time."""
    inquiry.next_attempt_at = at
    key = f"inquiry:{inquiry.id}"
    jobs.defer(session, jobs.DELIVER_INQUIRY, {"inquiry_id": inquiry.id}, queueing_lock=key, lock=key, at=at)


def find_inquiries(gateway: Gateway, *, undelivered: bool, limit: int) -> list[SalesInquiry]:
    """The newest, newest first."""
    query = select(SalesInquiry).order_by(SalesInquiry.created_at.desc(), SalesInquiry.id).limit(limit)
    if undelivered:
        query = query.where(SalesInquiry.delivered_at.is_(None))
    with gateway.database.transaction() as session:
        return list(session.scalars(query))
