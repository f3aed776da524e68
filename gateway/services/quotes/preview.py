"""Quotes: what a change would cost, computed by Stripe for one second, and a token that buys exactly that."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from stripe import Invoice
from stripe.params import InvoiceCreatePreviewParamsSubscriptionDetails as Details

from gateway.catalog import CatalogPlan
from gateway.config import QUOTE_LIFETIME
from gateway.db.models import Organization, PlanChange, Subscription
from gateway.errors import NotEnrolled, PeriodOver, StripeRejected
from gateway.services.customers.customer import noticing_deletion, refuse_closed
from gateway.services.mirror.refresh import refresh
from gateway.services.quotes.lines import (
    QuoteLine,
    compute_next_amount_due,
    list_lines,
    parse_line,
    select_remaining_lines,
)
from gateway.services.quotes.token import Terms, sign_token
from gateway.services.runtime import Caller, Gateway
from gateway.services.subscription import policy
from gateway.services.subscription.billing_state import (
    BillingState,
    ProrationBehavior,
    choose_charge,
    load_billing_state,
)
from gateway.stripe_api.client import outside_period, stripe_call
from gateway.stripe_api.snapshots import SubscriptionSnapshot
from gateway.stripe_api.times import to_unix


@dataclass(frozen=True, kw_only=True)
class Quote:
    """What the change costs if it is confirmed with ``token`` before ``expires_at``. Amounts in minor units."""

    token: str
    expires_at: datetime
    proration_date: datetime
    plan: str
    quantity: int
    currency: str
    lines: list[QuoteLine]
    amount_due_now: int
    amount_due_on_billing_date: int
    credit: int
    """What is given back for time that was paid and not used."""
    billing_date: datetime
    estimate: bool
    """Whether usage that goes on being counted may still change it: Stripe pins prorations, not usage."""


@dataclass(frozen=True, kw_only=True)
class QuoteRequest:
    """The change that is asked about, and where it starts from."""

    organization_id: str
    billing: BillingState
    subscription_id: str
    version: str
    plan: CatalogPlan
    quantity: int
    charge_now: bool
    proration_date: datetime
    billing_date: datetime


def quote_change(gateway: Gateway, caller: Caller, plan: str | None, quantity: int | None) -> Quote:
    """Ask Stripe what moving to ``quantity`` units of ``plan`` costs from this second on.

    Raises NotEnrolled, PeriodOver if Stripe has not begun the next one either, and what ``policy.check_change``
    raises; a card is not needed to ask.
    """
    now = gateway.clock().replace(microsecond=0)
    request = load_request(gateway, caller, plan, quantity, now)
    try:
        return build_quote(gateway, request, now)
    except PeriodOver:  # of which nobody has told yet
        refresh(gateway, SubscriptionSnapshot.kind, request.subscription_id)
    return build_quote(gateway, load_request(gateway, caller, plan, quantity, now), now)


def build_quote(gateway: Gateway, request: QuoteRequest, now: datetime) -> Quote:
    """The quote of what is request. Raises PeriodOver."""
    if request.billing_date <= now:
        raise PeriodOver("The billing period ends in this moment; please try again.")
    immediate = preview_immediate_invoice(gateway, request) if request.charge_now else None
    next_invoice = preview_invoice(gateway, request, "none" if request.charge_now else "create_prorations")
    next_lines = select_remaining_lines(next_invoice, immediate)
    lines = [parse_line(line) for line in (*list_lines(immediate), *next_lines)]
    prorations = [line for line in lines if line.proration and line.period.start == request.proration_date]
    due_now = immediate.amount_due if immediate is not None else 0
    terms = Terms(
        organization_id=request.organization_id,
        subscription_version=request.version,
        price_id=request.billing.get_price_id(request.plan),
        plan=request.plan.key,
        quantity=request.quantity,
        proration_date=to_unix(request.proration_date),
        amount_due_now=due_now,
        prorated=sum(line.amount for line in prorations),
        currency=next_invoice.currency,
    )
    expires_at = min(now + QUOTE_LIFETIME, request.billing_date)
    return Quote(
        token=sign_token(gateway.config, terms, expires_at),
        expires_at=expires_at,
        proration_date=request.proration_date,
        plan=request.plan.key,
        quantity=request.quantity,
        currency=next_invoice.currency,
        lines=lines,
        amount_due_now=due_now,
        amount_due_on_billing_date=compute_next_amount_due(next_invoice, next_lines, immediate),
        credit=-sum(line.amount for line in prorations if line.amount < 0),
        billing_date=request.billing_date,
        estimate=request.billing.has_metered_usage,
    )


def load_request(
    gateway: Gateway, caller: Caller, plan: str | None, quantity: int | None, now: datetime
) -> QuoteRequest:
    """What is asked about, from the local tables. Raises as ``quote_change`` does."""
    with gateway.database.transaction() as session:
        refuse_closed(session.get(Organization, caller.organization_id))
        billing = load_billing_state(session, caller.organization_id)
        target = policy.resolve_target(gateway.catalog, billing.plan_state, plan)
        units = quantity or billing.default_quantity(target.key)
        policy.check_change(billing.plan_state, target, units)
        if billing.subscription is None or billing.base_item is None or billing.subscription_version is None:
            raise NotEnrolled("Enrol the organization first: POST /v1/subscription.")
        return QuoteRequest(
            organization_id=caller.organization_id,
            billing=billing,
            subscription_id=billing.subscription.id,
            version=billing.subscription_version,
            plan=target,
            quantity=units,
            charge_now=choose_charge(gateway.catalog, billing.plan_state.requested_plan, target) == "now",
            proration_date=choose_proration_date(session, billing.subscription, billing.base_item, now),
            billing_date=datetime.fromisoformat(billing.base_item["current_period_end"]),
        )


def preview_immediate_invoice(gateway: Gateway, request: QuoteRequest) -> Invoice | None:
    """The invoice that the change makes; None if nothing is prorated: Stripe then shows the next one instead."""
    invoice = preview_invoice(gateway, request, "always_invoice")
    lines = [parse_line(line) for line in list_lines(invoice)]
    return invoice if any(line.proration and line.period.start == request.proration_date for line in lines) else None


def choose_proration_date(
    session: Session, subscription: Subscription, base_item: dict[str, Any], now: datetime
) -> datetime:
    """The first second from now on from which nothing of the subscription is prorated yet.

    By it the change's items are told from those of an earlier change, and two changes may come in one second. The
    period may have begun a second from now: the subscription is as old as Stripe's clock says, not ours.
    """
    a_second = timedelta(seconds=1)
    seconds = [now, datetime.fromisoformat(base_item["current_period_start"])]
    if subscription.as_of is not None:  # by then Stripe had prorated whatever is known here
        seconds.append(subscription.as_of.replace(microsecond=0) + a_second)
    ours = select(func.max(PlanChange.proration_date)).where(PlanChange.organization_id == subscription.organization_id)
    if (last := session.scalar(ours)) is not None:
        seconds.append(last + a_second)
    return max(seconds)


def preview_invoice(gateway: Gateway, request: QuoteRequest, proration_behavior: ProrationBehavior) -> Invoice:
    """Stripe's preview: of the invoice made at once (``always_invoice``), else of the next one on the billing date.

    Raises PeriodOver.
    """
    details: Details = {
        "items": request.billing.build_update_items(request.plan, request.quantity),
        "proration_behavior": proration_behavior,
    }
    if proration_behavior != "none":  # Stripe refuses the two together
        details["proration_date"] = to_unix(request.proration_date)
    try:
        with noticing_deletion(gateway, request.organization_id), stripe_call():
            return gateway.stripe.v1.invoices.create_preview(
                {"subscription": request.subscription_id, "subscription_details": details}
            )
    except StripeRejected as error:
        if outside_period(error):
            raise PeriodOver("The billing period ends in this moment; please try again.") from error
        raise
