"""The quote is the charge: what Stripe holds for a confirmed change is compared with what was quoted."""

from datetime import timedelta

import structlog
from sqlalchemy.orm import Session

from gateway.db.models import Organization, PlanChange
from gateway.services.context import Gateway
from gateway.stripe_api.client import stripe_call
from gateway.stripe_api.times import to_unix

CLOCKS_APART = timedelta(hours=1)  # far more than two clocks differ, far less than a period lasts

log = structlog.get_logger()


def check(gateway: Gateway, change_id: str) -> None:
    """Add up the invoice items that a change made, invoiced or not yet, and record the sum; any difference is an alarm.

    Raises StripeUnavailable: try again.
    """
    with gateway.database.transaction() as session:
        change = session.get_one(PlanChange, change_id)
        customer_id = customer_of(session, change)
    if change.charged is not None or change.proration_date is None or customer_id is None:
        return
    second = to_unix(change.proration_date)
    with stripe_call():
        items = gateway.stripe.v1.invoice_items.list(
            {"customer": customer_id, "created": {"gte": to_unix(change.created_at - CLOCKS_APART)}, "limit": 100}
        )
        charged = sum(
            item.amount for item in items.auto_paging_iter() if item.proration and item.period.start == second
        )
    with gateway.database.transaction() as session:
        session.get_one(PlanChange, change_id, with_for_update=True).charged = charged
    if charged != change.quoted:
        log.error("charge_differs_from_quote", change_id=change_id, quoted=change.quoted, charged=charged)


def customer_of(session: Session, change: PlanChange) -> str | None:
    """The Stripe customer of the change's organization."""
    return session.get_one(Organization, change.organization_id).stripe_customer_id
