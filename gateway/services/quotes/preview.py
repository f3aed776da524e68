"""Quote a change. Stripe computes its cost from one second on, and the quote's token buys it at that price."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from stripe import Invoice
from stripe.params import InvoiceCreatePreviewParamsSubscriptionDetails as Details

from gateway.catalog import CatalogPlan
from gateway.config import QUOTE_LIFETIME
from gateway.db.models import Organization, PlanChange, Subscription
from gateway.errors import NoChange, NoImmediateCharge, NotEnrolled, PeriodOver, StripeRejected
from gateway.services.customers.deletion import detect_deletion, refuse_deleted_customer
from gateway.services.customers.existing import introduce_organization
from gateway.services.entitlements.over_limits import OverLimit, find_levels, find_over_limits
from gateway.services.mirror.refresh import refresh
from gateway.services.quotes.endings import preview_endings
from gateway.services.quotes.lines import (
    QuoteLine,
    Sums,
    charge_back_unpaid,
    compute_next_amount_due,
    compute_next_total,
    list_lines,
    net_amount,
    parse_line,
    select_remaining_lines,
    sum_up,
)
from gateway.services.quotes.token import Terms, sign_token
from gateway.services.runtime import Caller, Gateway
from gateway.services.subscription import policy
from gateway.services.subscription.billing_state import (
    PAID_BY_INVOICE,
    BillingState,
    ProrationBehavior,
    choose_settlement,
    load_billing_state,
)
from gateway.services.subscription.exposure import find_max_quantity
from gateway.services.subscription.pricing import build_update_items, name_prices
from gateway.services.subscription.scheduled_end import build_end_params, find_cleared_end
from gateway.services.subscription.terms import find_billing_date, find_next_invoice_date, find_scheduled_end
from gateway.services.subscription.trials import is_trialing
from gateway.stripe_api.client import nothing_upcoming, outside_period, stripe_call
from gateway.stripe_api.snapshots import SubscriptionSnapshot
from gateway.stripe_api.times import to_unix


@dataclass(frozen=True, kw_only=True)
class Quote:
    """What the change costs if the caller confirms it with ``token`` before ``expires_at``. Amounts in minor units."""

    token: str
    expires_at: datetime
    proration_date: datetime
    plan: str
    quantity: int
    max_quantity: int
    """How many units the organization may have now. A confirmation of a larger quote is refused."""
    currency: str
    lines: list[QuoteLine]
    amount_due_now: int
    amount_due_on_billing_date: int
    sums: Sums
    credit: int
    """What the organization gets back for time that it paid and did not use, with its discounts and taxes."""
    amount_unpaid: int
    """What the organization still owes on unpaid invoices after the change."""
    billing_date: datetime | None
    """When Stripe charges it. None if the collection of payments is paused on that date."""
    ends_at: datetime | None
    """When the subscription ends after the change. None if no end is scheduled."""
    ends_at_cleared: datetime | None
    """The scheduled end that the change clears."""
    estimate: bool
    """Whether the amounts may still change. ``proration_date`` fixes prorations, but not usage.

    It does not fix those of the duplicates that Cancel plan ends either.
    """
    over_limits: list[OverLimit]
    """The limits of the new plan that the organization exceeds now. Nothing prevents the change."""


@dataclass(frozen=True, kw_only=True)
class QuoteRequest:
    """The change to quote, and the billing state that it starts from."""

    organization_id: str
    billing: BillingState
    subscription: Subscription
    version: str
    plan: CatalogPlan
    quantity: int
    charge_now: bool
    proration_date: datetime
    next_invoice: datetime


def quote_change(gateway: Gateway, caller: Caller, plan: str | None, quantity: int | None) -> Quote:
    """Quote the move to ``quantity`` units of ``plan`` from this second on. A quote needs no card.

    If the local period has ended, refresh the subscription and try once more. Raises NotEnrolled, and what
    ``policy.check_change`` raises. Raises PeriodOver if Stripe has not begun the next period either.
    """
    now = gateway.clock().replace(microsecond=0)
    try:
        request = load_request(gateway, caller, plan, quantity, now)
    except NotEnrolled:  # the organization may have a customer that another program made
        introduce_organization(gateway, caller)
        raise
    try:
        return build_quote(gateway, request, now)
    except PeriodOver:  # the webhook that announces the next period may still be on its way
        refresh(gateway, SubscriptionSnapshot.kind, request.subscription.id)
    return build_quote(gateway, load_request(gateway, caller, plan, quantity, now), now)


def build_quote(gateway: Gateway, request: QuoteRequest, now: datetime) -> Quote:
    """Build the quote from Stripe's previews. Raises PeriodOver."""
    if request.next_invoice <= now:
        raise PeriodOver("The billing period is ending. Please try again.")
    immediate = preview_immediate_invoice(gateway, request) if request.charge_now else None
    next_invoice = preview_next_invoice(gateway, request)
    next_lines = select_remaining_lines(next_invoice, immediate)
    own_lines = [*list_lines(immediate), *next_lines]
    prorations = [line for line in own_lines if is_of_change(request, parse_line(line))]
    endings = preview_endings(gateway, request.billing.duplicates) if request.plan.is_floor else []
    ending_lines = [line for each in endings for line in list_lines(each)]
    unpaid = request.billing.unpaid_invoices
    own_charges = charge_back_unpaid(unpaid, prorations)
    charges_back = {**own_charges, **charge_back_unpaid(unpaid, ending_lines)}
    own_charged_back = sum(line.amount for line in own_charges.values())
    charged_back = sum(line.amount for line in charges_back.values())
    due_now = immediate.amount_due if immediate is not None else 0
    due_for_endings = sum(each.amount_due for each in endings)
    next_total = compute_next_total(next_invoice, next_lines, own_charged_back)
    due_later = compute_next_amount_due(next_invoice, next_total, immediate)
    total = next_total + (immediate.total if immediate is not None else 0)
    total += sum(each.total for each in endings) + charged_back - own_charged_back
    stripe_lines = [*own_lines, *ending_lines]
    credited = [line for line in [*prorations, *ending_lines] if line["amount"] < 0]
    cleared_end = find_cleared_end(gateway.catalog, request.billing, request.plan)
    present = request.billing.plan_state
    terms = Terms(
        organization_id=request.organization_id,
        subscription_version=request.version,
        price_id=name_prices(request.billing, request.plan),
        plan=request.plan.key,
        quantity=request.quantity,
        proration_date=to_unix(request.proration_date),
        amount_due_now=due_now,
        prorated=sum(line["amount"] for line in prorations) + own_charged_back,
        currency=request.subscription.currency,
    )
    expires_at = min(now + QUOTE_LIFETIME, request.next_invoice)
    return Quote(
        token=sign_token(gateway.config, terms, expires_at),
        expires_at=expires_at,
        proration_date=request.proration_date,
        plan=request.plan.key,
        quantity=request.quantity,
        max_quantity=find_max_quantity(gateway.catalog, request.billing, request.plan),
        currency=request.subscription.currency,
        lines=[*(parse_line(line) for line in stripe_lines), *charges_back.values()],
        amount_due_now=due_now + due_for_endings,
        amount_due_on_billing_date=due_later,
        sums=sum_up(stripe_lines, charged_back, total, due_now + due_for_endings + due_later),
        credit=-sum(net_amount(line) for line in credited) - charged_back,
        amount_unpaid=sum(unpaid.values()) - charged_back,
        billing_date=find_billing_date(request.subscription, request.next_invoice),
        ends_at=find_scheduled_end(request.subscription) if cleared_end is None else None,
        ends_at_cleared=cleared_end,
        # No date fixes the prorations of an ending, and no quote knows the usage that is still to come.
        estimate=request.billing.has_metered_usage or bool(request.plan.metered) or bool(endings),
        over_limits=find_over_limits(
            gateway.catalog,
            request.plan,
            find_levels(gateway.catalog, present.requested_plan, present.quantity),
        ),
    )


def is_of_change(request: QuoteRequest, line: QuoteLine) -> bool:
    """Return whether the change makes this proration. An earlier change's prorations begin in another second."""
    return line.proration and line.period.start == request.proration_date


def load_request(
    gateway: Gateway, caller: Caller, plan: str | None, quantity: int | None, now: datetime
) -> QuoteRequest:
    """Load the request from the local tables. Raises NotEnrolled, and what ``policy.check_change`` raises.

    Raises NoImmediateCharge if the change must be paid first and Stripe charges no payment method.
    """
    with gateway.database.transaction() as session:
        refuse_deleted_customer(session.get(Organization, caller.organization_id))
        billing = load_billing_state(session, caller.organization_id, gateway.catalog)
        target = policy.resolve_target(gateway.catalog, billing.plan_state, plan)
        units = quantity or billing.default_quantity(target.key)
        try:
            needs = policy.check_change(gateway.catalog, billing.plan_state, target, units, billing.contract).needs
        except NoChange:  # during a trial, the quote says what the present plan will cost after it
            if not is_trialing(billing.subscription):
                raise
            needs = frozenset()
        if target.is_floor:
            policy.check_ending(gateway.catalog, billing.duplicates.values())
        if billing.subscription is None or billing.base_item is None or billing.subscription_version is None:
            raise NotEnrolled("Enrol the organization first: POST /v1/subscription.")
        settlement = choose_settlement(gateway.catalog, billing, billing.plan_state.requested_plan, target, units)
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
            proration_date=choose_proration_date(session, billing.subscription, billing.base_item, now),
            next_invoice=find_next_invoice_date([billing.base_item] if target.is_floor else billing.subscription.items),
        )


def preview_immediate_invoice(gateway: Gateway, request: QuoteRequest) -> Invoice | None:
    """Preview the invoice that the change makes. Return None if the change prorates nothing.

    Stripe makes no invoice then, and its preview shows the next invoice instead.
    """
    invoice = preview_invoice(gateway, request, "always_invoice")
    lines = [parse_line(line) for line in list_lines(invoice)]
    return invoice if any(line.proration and line.period.start == request.proration_date for line in lines) else None


def preview_next_invoice(gateway: Gateway, request: QuoteRequest) -> Invoice | None:
    """Preview the next invoice. Return None if the subscription ends first, and nothing is left for it."""
    try:
        return preview_invoice(gateway, request, "none" if request.charge_now else "create_prorations")
    except StripeRejected as error:
        if request.charge_now and nothing_upcoming(error):
            return None
        raise


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


def preview_invoice(gateway: Gateway, request: QuoteRequest, proration_behavior: ProrationBehavior) -> Invoice:
    """Return Stripe's preview of an invoice. Raises PeriodOver.

    With ``always_invoice`` it is the immediate invoice, otherwise the next one on the billing date.
    """
    details: Details = {
        "items": build_update_items(request.billing, request.plan, request.quantity),
        "proration_behavior": proration_behavior,
    }
    details |= cast("Details", build_end_params(gateway.catalog, request.billing, request.plan))
    if proration_behavior != "none":  # Stripe refuses the date together with "none"
        details["proration_date"] = to_unix(request.proration_date)
    try:
        with detect_deletion(gateway, request.organization_id), stripe_call():
            return gateway.stripe.v1.invoices.create_preview(
                {"subscription": request.subscription.id, "subscription_details": details}
            )
    except StripeRejected as error:
        if outside_period(error):
            raise PeriodOver("The billing period is ending. Please try again.") from error
        raise
