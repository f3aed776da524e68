"""Compare an organization's spend with its alerts, and notify of each one that it reaches, once in a period."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from threading import Event
from typing import NamedTuple

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from gateway.db.models import Organization, SpendCrossing
from gateway.errors import DatabaseUnavailable, GatewayError
from gateway.services.notifications.outbox import Fact, enqueue, to_text
from gateway.services.quotes.estimate import load_estimate
from gateway.services.rate_limits.stripe_budget import Priority, calling_as
from gateway.services.runtime import Gateway
from gateway.services.spend_alerts.settings import load_settings
from gateway.services.spend_alerts.spend import Period, RecordedSpend, calculate_spend, find_period
from gateway.services.spend_checks import ClaimedCheck, claim_checks, end_check
from gateway.services.subscription.billing_state import load_billing_state
from gateway.stripe_api.snapshots import TRIALING

NEAR = Decimal("0.8")
"""The part of an amount from which Stripe is asked. Taxes may add as much as a quarter to our own records."""
TYPES = {"alert": "usage.alert", "limit": "limit.exceeded"}

log = structlog.get_logger()


class Threshold(NamedTuple):
    """An amount at which the receivers are notified. ``kind`` is ``alert`` or ``limit``."""

    amount: int
    kind: str


@dataclass(frozen=True, kw_only=True)
class Situation:
    """The state of one organization that a check compares."""

    currency: str
    period: Period
    thresholds: Collection[Threshold]
    """Those that the spend has not reached in this period."""
    recorded: RecordedSpend | None

    @property
    def is_near(self) -> bool:
        """Return whether the spend may have reached an amount, so that Stripe must be asked."""
        if not self.thresholds:
            return False
        return self.recorded is None or self.recorded.fixed + self.recorded.usage >= NEAR * min(self.thresholds).amount


def check_spend(gateway: Gateway, stopping: Event) -> int:
    """Run the job that makes all due checks, and return how many it made."""
    made = 0
    while not stopping.is_set():
        with gateway.database.transaction() as session:
            claimed = claim_checks(session, gateway.clock())
        if not claimed:
            break
        for check in claimed:
            try_check(gateway, check)
        made += len(claimed)
    return made


def try_check(gateway: Gateway, check: ClaimedCheck) -> None:
    """Make one check. If it fails, it is repeated later, and it must not hold up the others."""
    try:
        is_done = check_organization(gateway, check.organization_id)
    except DatabaseUnavailable:
        raise
    except GatewayError as error:
        log.warning("spend_not_checked", organization_id=check.organization_id, error=error.detail)
        return
    if is_done or gateway.clock() >= check.expires_at:
        with gateway.database.transaction() as session:
            end_check(session, check)


def check_organization(gateway: Gateway, organization_id: str) -> bool:
    """Notify of the amounts that the spend has reached. Return whether it is far from all others."""
    with gateway.database.reading() as session:
        situation = load_situation(session, gateway, organization_id)
    if situation is None or not situation.is_near:
        return True
    if gateway.clock() >= situation.period.end:
        return False  # Stripe previews the next period already
    with calling_as(Priority.REFRESH):
        estimate = load_estimate(gateway, organization_id)
    if estimate is None:
        return True
    # Stripe may count usage late. So our records count if they show more, unless Stripe bills other prices.
    usage = max(estimate.usage, situation.recorded.usage) if situation.recorded is not None else estimate.usage
    spend = estimate.due - estimate.balance - estimate.usage + usage
    reached = [each for each in sorted(situation.thresholds) if each.amount <= spend]
    record_crossings(gateway, organization_id, situation, reached, spend)
    return len(reached) == len(situation.thresholds)


def load_situation(session: Session, gateway: Gateway, organization_id: str) -> Situation | None:
    """Return what to compare, or None on the floor plan, in a trial, and on a plan that sales manages."""
    billing = load_billing_state(session, organization_id, gateway.catalog)
    plan = billing.plan_state.requested_plan
    if billing.subscription is None or billing.subscription.status == TRIALING or plan == gateway.catalog.floor.key:
        return None
    if gateway.catalog.is_managed_by_sales(plan):
        return None
    period, currency = find_period(billing.subscription.items), billing.contract.currency
    settings = load_settings(session, gateway.catalog, organization_id, currency)
    wanted = {Threshold(amount, "alert") for amount in settings.amounts}
    if settings.spend_limit is not None:
        wanted.add(Threshold(settings.spend_limit, "limit"))
    crossed = select(SpendCrossing.amount, SpendCrossing.kind).where(
        SpendCrossing.organization_id == organization_id, SpendCrossing.period_start == period.start
    )
    return Situation(
        currency=currency,
        period=period,
        thresholds=wanted - {Threshold(*row) for row in session.execute(crossed)},
        recorded=calculate_spend(session, gateway.catalog, organization_id, billing, period),
    )


def record_crossings(
    gateway: Gateway, organization_id: str, situation: Situation, reached: Collection[Threshold], spend: int
) -> None:
    """Record each amount that was reached, and notify of it in the same transaction, unless another job has."""
    if not reached:
        return
    now = gateway.clock()
    with gateway.database.transaction() as session:
        session.get_one(Organization, organization_id, with_for_update=True)  # keeps the notifications in order
        for each in reached:
            if insert_crossing(session, organization_id, each, situation.period, now):
                enqueue(session, describe_crossing(organization_id, situation, each, spend), now)


def describe_crossing(organization_id: str, situation: Situation, reached: Threshold, spend: int) -> Fact:
    """Return the notification of an amount that was reached."""
    data = {
        "organization_id": organization_id,
        "currency": situation.currency,
        "amount": reached.amount,
        "spend": spend,
        "period_start": situation.period.start,
        "period_end": situation.period.end,
    }
    return Fact(organization_id, TYPES[reached.kind], to_text(data.items()))


def insert_crossing(
    session: Session, organization_id: str, threshold: Threshold, period: Period, now: datetime
) -> bool:
    """Record that the spend reached an amount, and return whether it was not recorded before."""
    row = insert(SpendCrossing).values(
        organization_id=organization_id,
        kind=threshold.kind,
        amount=threshold.amount,
        period_start=period.start,
        period_end=period.end,
        crossed_at=now,
    )
    return session.scalar(row.on_conflict_do_nothing().returning(SpendCrossing.amount)) is not None
