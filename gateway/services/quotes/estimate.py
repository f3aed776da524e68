"""Estimate the cost of the month. Stripe previews the next invoice from what has happened up to now.

https://docs.stripe.com/api/invoices/create_preview
"""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session
from stripe import Invoice

from gateway.db.models import OrganizationPlan, Price, Subscription, UsageEstimate
from gateway.errors import StripeRejected
from gateway.services.quotes.lines import find_price, get_details, list_lines, sum_up
from gateway.services.runtime import Gateway
from gateway.services.subscription.billing_state import load_billing_state
from gateway.services.subscription.levels import find_waiting_quantity
from gateway.services.subscription.pricing import build_update_items
from gateway.services.subscription.terms import find_next_invoice_date
from gateway.stripe_api.client import is_nothing_upcoming, stripe_call
from gateway.stripe_api.snapshots import TRIALING

if TYPE_CHECKING:
    from stripe.params import InvoiceCreatePreviewParams

KEPT_FOR = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What the next invoice would be now, in minor units.

    All amounts but ``due`` add up to it. ``discounts`` and a credit in ``balance`` are negative.
    """

    currency: str
    base: int
    prorations: int
    usage: int
    discounts: int
    tax: int
    balance: int
    due: int


@dataclass(frozen=True, kw_only=True)
class DatedEstimate(Estimate):
    """An estimate with the time from which it is, and the date of the invoice."""

    billing_date: datetime
    calculated_at: datetime


def load_estimate(gateway: Gateway, organization_id: str) -> DatedEstimate | None:
    """Return the estimate, at most five minutes old and never older than the last change of the plan table.

    Return None without a subscription, during a trial, and if Stripe will make no further invoice.
    """
    now = gateway.clock()
    with gateway.database.reading() as session:
        plan = session.get(OrganizationPlan, organization_id)
        if plan is None or plan.current_period_end is None or plan.status == TRIALING:
            return None
        subscription = session.get_one(Subscription, plan.subscription_id)
        billing_date = find_next_invoice_date(subscription.items)
        kept = session.get(UsageEstimate, organization_id)
        if kept is not None and kept.version == plan.version and now - kept.calculated_at < KEPT_FOR:
            return DatedEstimate(**kept.amounts, billing_date=billing_date, calculated_at=kept.calculated_at)
        metered_prices = find_metered_prices(gateway, session, subscription)
        params = build_params(gateway, session, organization_id, subscription.id)
    try:
        with stripe_call():
            invoice = gateway.stripe.v1.invoices.create_preview(params)
    except StripeRejected as error:
        if is_nothing_upcoming(error):
            return None
        raise
    amounts = asdict(split_amounts(invoice, metered_prices))
    values = {"version": plan.version, "amounts": amounts, "calculated_at": now}
    upsert = insert(UsageEstimate).values(organization_id=organization_id, **values)
    gateway.database.execute(upsert.on_conflict_do_update(index_elements=["organization_id"], set_=values))
    return DatedEstimate(**amounts, billing_date=billing_date, calculated_at=now)


def build_params(
    gateway: Gateway, session: Session, organization_id: str, subscription_id: str
) -> "InvoiceCreatePreviewParams":
    """Return what to preview: the next invoice, as if the quantity had followed a level that waits."""
    params: InvoiceCreatePreviewParams = {"subscription": subscription_id}
    billing = load_billing_state(session, organization_id, gateway.catalog)
    if (quantity := find_waiting_quantity(gateway.catalog, billing)) is not None:
        plan = gateway.catalog.get(billing.plan_state.requested_plan)
        items = build_update_items(billing, plan, quantity)
        params["subscription_details"] = {"items": items, "proration_behavior": "create_prorations"}
    return params


def find_metered_prices(gateway: Gateway, session: Session, subscription: Subscription) -> set[str]:
    """Return the ids of the metered prices of the subscription and of the catalogue."""
    keys = [price.lookup_key for plan in gateway.catalog.plans for price in plan.metered_prices]
    of_catalog = session.scalars(select(Price.id).where(Price.lookup_key.in_(keys)))
    return {*of_catalog, *(item["price_id"] for item in subscription.items if item.get("metered"))}


def split_amounts(invoice: Invoice, metered_prices: set[str]) -> Estimate:
    """Return the preview's amounts, divided by what they are for."""
    lines = list_lines(invoice)
    prorations = [line for line in lines if is_proration(line)]
    usage = [line for line in lines if not is_proration(line) and find_price(line) in metered_prices]
    sums = sum_up(lines, invoice.total, invoice.amount_due)
    prorated, used = (sum(line["amount"] for line in each) for each in (prorations, usage))
    return Estimate(
        currency=invoice.currency,
        base=sums.subtotal - prorated - used,
        prorations=prorated,
        usage=used,
        discounts=sums.discounts,
        tax=sums.taxes,
        balance=sums.balance,
        due=invoice.amount_due,
    )


def is_proration(line: dict[str, Any]) -> bool:
    """Return whether the line prorates a change."""
    return bool(get_details(line).get("proration"))
