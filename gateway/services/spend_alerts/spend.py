"""Calculate the spend of a period from our own records: what the next invoice would charge.

It lacks discounts and taxes, which Stripe knows. So it only decides whether to ask Stripe.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from gateway.catalog import Catalog, CatalogPlan, round_amount
from gateway.db.models import PlanHistory
from gateway.json_types import Json
from gateway.services.subscription.billing_state import BillingState
from gateway.services.subscription.pricing import find_listed, find_metered_ids
from gateway.services.usage.aggregation import LONGEST_DELAY, add_up

MICROSECOND = timedelta(microseconds=1)
# What Stripe has counted, or will count. Usage of the floor plan is not billed.
SELECT_USAGE = text(f"""
    SELECT meter, {add_up()} AS quantity
    FROM usage_reports
    WHERE organization_id = :organization_id AND COALESCE(moved_to, starts_at) >= :since AND starts_at < :until
        AND starts_at > CAST(:since AS timestamptz) - interval '{LONGEST_DELAY.days} days'
        AND state IN ('open', 'sending', 'sent')
    GROUP BY meter, aggregation
""")  # nosec B608  # noqa: S608 - the expressions are ours


@dataclass(frozen=True, kw_only=True)
class Period:
    """The period that the next invoice bills."""

    start: datetime
    end: datetime


@dataclass(frozen=True, kw_only=True)
class RecordedSpend:
    """The spend by our own records, in minor units."""

    fixed: int
    """The price of the next period, and the prorations of this one."""
    usage: int


def find_period(items: Iterable[Json]) -> Period:
    """Return the period of the item that Stripe invoices next. Metered items are monthly, also beside a yearly plan."""
    item = min(items, key=lambda each: datetime.fromisoformat(each["current_period_end"]))
    start, end = (datetime.fromisoformat(item[f"current_period_{each}"]) for each in ("start", "end"))
    return Period(start=start, end=end)


def calculate_spend(
    session: Session, catalog: Catalog, organization_id: str, billing: BillingState, period: Period
) -> RecordedSpend | None:
    """Return the spend, or None if the organization pays other prices than the catalogue's."""
    plan = catalog.find(billing.plan_state.requested_plan)
    if plan is None or not pays_listed_prices(billing, plan):
        return None
    fixed = sum_fixed(session, catalog, organization_id, billing, period)
    if fixed is None:
        return None
    values = {"organization_id": organization_id, "since": period.start, "until": period.end}
    usage = {row.meter: int(row.quantity) for row in session.execute(SELECT_USAGE, values)}
    return RecordedSpend(fixed=fixed, usage=price_usage(plan, billing.contract.currency, usage))


def pays_listed_prices(billing: BillingState, plan: CatalogPlan) -> bool:
    """Return whether all items of the plan have the prices that Stripe sells at now."""
    price = billing.contract.find_price(plan)
    listed = find_listed(billing, price) if price is not None else None
    if billing.subscription is None or billing.base_item is None or listed is None:
        return False
    metered = {item["price_id"] for item in billing.subscription.items if item["id"] in billing.metered_items}
    return billing.base_item["price_id"] == listed["id"] and metered <= {*(find_metered_ids(billing, plan) or ())}


def sum_fixed(
    session: Session, catalog: Catalog, organization_id: str, billing: BillingState, period: Period
) -> int | None:
    """Return the price of the next period and the prorations of this one.

    Return None if a plan had no price for sale, or another interval.
    """
    state, contract = billing.plan_state, billing.contract
    if state.current_period_start is None or state.current_period_end is None or contract.leftover:
        return None
    entries = session.scalars(
        select(PlanHistory)
        .where(PlanHistory.organization_id == organization_id, PlanHistory.recorded_at > state.current_period_start)
        .order_by(PlanHistory.version)
    ).all()

    def price(plan_state: Json) -> Decimal | None:
        plan = catalog.find(plan_state["requested_plan"])
        found = plan.find_price(contract.currency, contract.interval) if plan is not None else None
        return found.compute_amount(plan_state["quantity"]) if found is not None else None

    present = price({"requested_plan": state.requested_plan, "quantity": state.quantity})
    total = present if state.current_period_end == period.end else Decimal(0)  # a year is not due with each month
    length = state.current_period_end - state.current_period_start
    for entry in entries:
        before, after = price(entry.before) if entry.before is not None else Decimal(0), price(entry.after)
        if total is None or before is None or after is None:
            return None
        rest = max(state.current_period_end - entry.recorded_at, timedelta(0))
        total += (after - before) * (rest // MICROSECOND) / (length // MICROSECOND)
    return round_amount(total) if total is not None else None


def price_usage(plan: CatalogPlan, currency: str, usage: dict[str, int]) -> int:
    """Return what the usage by meter costs. Stripe rounds each line of an invoice."""
    prices = [each for each in plan.metered_prices if each.currency == currency]
    return sum(round_amount(each.compute_amount(usage.get(each.meter or "", 0))) for each in prices)
