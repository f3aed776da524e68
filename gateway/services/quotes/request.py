"""The change to quote, and the second from which Stripe prorates it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gateway.catalog import CatalogPlan
from gateway.db.models import PlanChange, Subscription
from gateway.errors import NoChange, NoImmediateCharge, NotEnrolled
from gateway.services.customers.deletion import refuse_deleted_customer
from gateway.services.entitlements.over_limits import find_levels
from gateway.services.quotes.lines import QuoteLine
from gateway.services.runtime import Caller, Gateway
from gateway.services.subscription import policy
from gateway.services.subscription.billing_state import PAID_BY_INVOICE, BillingState, load_billing_state
from gateway.services.subscription.intervals import check_interval
from gateway.services.subscription.levels import choose_quantity
from gateway.services.subscription.settlement import choose_settlement, restarts_periods
from gateway.services.subscription.terms import find_next_invoice_date
from gateway.services.subscription.trials import is_trialing


@dataclass(frozen=True, kw_only=True)
class QuoteRequest:
    """The change to quote, and the billing state that it starts from."""

    organization_id: str
    billing: BillingState
    """The state with the contract that the change moves to."""
    subscription: Subscription
    version: str
    plan: CatalogPlan
    quantity: int
    charge_now: bool
    restarts: bool
    """Whether the change restarts the billing periods, in the second in which Stripe makes it."""
    proration_date: datetime
    """If the change restarts the periods, the second of Stripe's preview replaces it."""
    next_invoice: datetime
    """When the present period ends."""
    levels: Mapping[str, int]
    """What the organization has of what plans limit, as far as it is known."""

    def makes(self, line: QuoteLine) -> bool:
        """Return whether the change makes this proration. An earlier change's prorations begin in an earlier second.

        The debits of a new period begin in the second in which Stripe makes the change.
        """
        begins = line.period.start
        is_of_restart = self.restarts and begins > self.proration_date
        return line.proration and (begins == self.proration_date or is_of_restart)


def load_request(
    gateway: Gateway, caller: Caller, plan: str | None, quantity: int | None, interval: str | None, now: datetime
) -> QuoteRequest:
    """Load the request from the local tables. Raise what ``policy.check_change`` and ``check_interval`` raise.

    Raise NotEnrolled. Raise NoImmediateCharge if the change must be paid first and Stripe charges no payment method.
    """
    with gateway.database.reading() as session:
        billing = load_billing_state(session, caller.organization_id, gateway.catalog).with_interval(interval)
        refuse_deleted_customer(is_deleted=billing.is_deleted)
        target = policy.resolve_target(gateway.catalog, billing.plan_state, plan)
        billing = billing.with_target(target)
        units = choose_quantity(gateway.catalog, billing, target, quantity)
        try:
            needs = policy.check_change(gateway.catalog, billing.plan_state, target, units, billing.contract).needs
        except NoChange:  # during a trial, the quote says what the present plan will cost after it
            if not is_trialing(billing.subscription):
                raise
            needs = frozenset()
        check_interval(billing, target, interval)
        if target.is_floor:
            policy.check_ending(gateway.catalog, billing.duplicates.values())
        if billing.subscription is None or billing.base_item is None or billing.subscription_version is None:
            raise NotEnrolled("Enrol the organization first: POST /v1/subscription.")
        present = billing.plan_state
        settlement = choose_settlement(gateway.catalog, billing, present.requested_plan, target, units)
        if (
            settlement == "now"
            and policy.Need.CARD in needs
            and billing.subscription.collection_method != "charge_automatically"
        ):
            raise NoImmediateCharge(PAID_BY_INVOICE)
        return QuoteRequest(
            organization_id=caller.organization_id,
            billing=billing,
            subscription=billing.subscription,
            version=billing.subscription_version,
            plan=target,
            quantity=units,
            charge_now=settlement == "now",
            restarts=restarts_periods(billing),
            proration_date=choose_proration_date(session, billing.subscription, billing.base_item, now),
            next_invoice=find_next_invoice_date([billing.base_item] if target.is_floor else billing.subscription.items),
            levels=find_levels(gateway.catalog, present.requested_plan, present.quantity, billing.levels),
        )


def choose_proration_date(
    session: Session, subscription: Subscription, base_item: dict[str, Any], now: datetime
) -> datetime:
    """Return the first second from now on from which Stripe has prorated nothing of the subscription yet.

    The second tells this change's invoice items from those of an earlier change. Two changes may come in one second, so
    the present second may be taken. It may also lie before the period, because Stripe's clock may be ahead of ours.
    """
    a_second = timedelta(seconds=1)
    seconds = [now, datetime.fromisoformat(base_item["current_period_start"])]
    if subscription.as_of is not None:  # Stripe made all prorations known here by this second
        seconds.append(subscription.as_of.replace(microsecond=0) + a_second)
    ours = select(func.max(PlanChange.proration_date)).where(PlanChange.organization_id == subscription.organization_id)
    if (last := session.scalar(ours)) is not None:
        seconds.append(last + a_second)
    return max(seconds)
