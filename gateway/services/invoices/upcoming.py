"""The charges that Stripe calculates some days before the billing date.

Stripe sends ``invoice.upcoming`` as early as the account's settings say. The gateway promises the charges three days
ahead. ``calculate_charges`` refreshes those that no event has brought on that day, or that an event brought too early.
https://docs.stripe.com/billing/subscriptions/webhooks
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import DateTime, and_, literal_column, select

from gateway.db import jobs
from gateway.db.models import OrganizationPlan, Subscription, UpcomingInvoice
from gateway.json_types import Json
from gateway.services.mirror.refresh_jobs import refresh_job
from gateway.services.runtime import Gateway
from gateway.stripe_api.snapshots import UpcomingInvoiceSnapshot

LEAD = timedelta(days=3)
# Stripe's own event may be late. The hourly job still runs on the third day before the billing date.
GRACE = timedelta(hours=1)
# Stripe's own event on the third day is early enough, even if Stripe sends it somewhat too early.
OLDEST = LEAD + timedelta(days=1)
BILLED = ("trialing", "active", "past_due")
# As ``terms.find_next_invoice_date``. Beside a yearly price, metered prices are billed monthly.
NEXT_INVOICE = literal_column(
    "(SELECT min(CAST(item ->> 'current_period_end' AS timestamptz))"
    " FROM jsonb_array_elements(subscriptions.items) AS item)",
    DateTime(timezone=True),
)


@dataclass(frozen=True, kw_only=True)
class UpcomingCharges:
    """The charges that Stripe calculated before the billing date."""

    amount_due: int
    currency: str
    lines: list[Json] | None
    calculated_at: datetime | None
    billing_date: datetime


def build_upcoming_charges(upcoming: UpcomingInvoice | None, next_invoice: datetime | None) -> UpcomingCharges | None:
    """Build the upcoming charges from their row. Return None for charges of an earlier billing date."""
    if upcoming is None or upcoming.billing_date != next_invoice:
        return None
    return UpcomingCharges(
        amount_due=upcoming.amount_due,
        currency=upcoming.currency,
        lines=upcoming.lines,
        calculated_at=upcoming.as_of,
        billing_date=upcoming.billing_date,
    )


def calculate_charges(gateway: Gateway) -> int:
    """Enqueue the calculation of the charges that are due within three days and unknown or old. Return how many.

    A subscription that ends before may have no further invoice, so only Stripe's event shows its charges.
    """
    now, billing_date = gateway.clock(), NEXT_INVOICE
    query = (
        select(Subscription.id)
        .join(OrganizationPlan, OrganizationPlan.subscription_id == Subscription.id)
        .outerjoin(
            UpcomingInvoice,
            and_(
                UpcomingInvoice.subscription_id == Subscription.id,
                UpcomingInvoice.billing_date >= billing_date,
                UpcomingInvoice.as_of >= billing_date - OLDEST,
            ),
        )
        .where(
            billing_date > now,
            billing_date <= now + LEAD - GRACE,
            OrganizationPlan.requested_plan != gateway.catalog.floor.key,
            Subscription.status.in_(BILLED),
            Subscription.cancel_at_period_end.is_(False),
            Subscription.cancel_at.is_(None) | (Subscription.cancel_at > billing_date),
            UpcomingInvoice.subscription_id.is_(None),
        )
    )
    with gateway.database.transaction() as session:
        found = session.scalars(query).all()
        jobs.defer_all(session, [refresh_job(UpcomingInvoiceSnapshot.kind, each) for each in found])
    return len(found)
