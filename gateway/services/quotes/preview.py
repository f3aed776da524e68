"""Quote a change. Stripe computes its cost from one second on, and the quote's token buys it at that price."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from stripe import Invoice
from stripe.params import InvoiceCreatePreviewParamsSubscriptionDetails as Details

from gateway.catalog import CatalogPlan
from gateway.config import QUOTE_LIFETIME
from gateway.db.models import Organization, PlanChange, Subscription
from gateway.errors import NoChange, NotEnrolled, PeriodOver, StripeRejected
from gateway.services.customers.deletion import detect_deletion, refuse_deleted_customer
from gateway.services.customers.existing import introduce_organization
from gateway.services.mirror.refresh import refresh
from gateway.services.quotes.lines import (
    QuoteLine,
    Sums,
    compute_next_amount_due,
    compute_next_total,
    find_credited_invoice,
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
from gateway.stripe_api.client import outside_period, stripe_call
from gateway.stripe_api.snapshots import SubscriptionSnapshot
from gateway.stripe_api.times import to_unix

CHARGED_BACK = "Unused time that was not paid. It is credited on the unpaid invoice."


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
    """Whether further usage may still change the amounts. ``proration_date`` fixes prorations, but not usage."""


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
    next_invoice = preview_invoice(gateway, request, "none" if request.charge_now else "create_prorations")
    next_lines = select_remaining_lines(next_invoice, immediate)
    stripe_lines = [*list_lines(immediate), *next_lines]
    charges_back = charge_back_unpaid(request, stripe_lines)
    lines = [*(parse_line(line) for line in stripe_lines), *charges_back.values()]
    prorations = [line for line in lines if is_of_change(request, line)]
    charged_back = sum(line.amount for line in charges_back.values())
    due_now = immediate.amount_due if immediate is not None else 0
    next_total = compute_next_total(next_invoice, next_lines, charged_back)
    due_later = compute_next_amount_due(next_invoice, next_total, immediate)
    total = next_total + (immediate.total if immediate is not None else 0)
    credited = [line for line in stripe_lines if line["amount"] < 0 and is_of_change(request, parse_line(line))]
    cleared_end = find_cleared_end(gateway.catalog, request.billing, request.plan)
    terms = Terms(
        organization_id=request.organization_id,
        subscription_version=request.version,
        price_id=name_prices(request.billing, request.plan),
        plan=request.plan.key,
        quantity=request.quantity,
        proration_date=to_unix(request.proration_date),
        amount_due_now=due_now,
        prorated=sum(line.amount for line in prorations) + charged_back,
        currency=next_invoice.currency,
    )
    expires_at = min(now + QUOTE_LIFETIME, request.next_invoice)
    return Quote(
        token=sign_token(gateway.config, terms, expires_at),
        expires_at=expires_at,
        proration_date=request.proration_date,
        plan=request.plan.key,
        quantity=request.quantity,
        max_quantity=find_max_quantity(gateway.catalog, request.billing, request.plan),
        currency=next_invoice.currency,
        lines=lines,
        amount_due_now=due_now,
        amount_due_on_billing_date=due_later,
        sums=sum_up(stripe_lines, charged_back, total, due_now + due_later),
        credit=-sum(net_amount(line) for line in credited) - charged_back,
        amount_unpaid=sum(
            owed - (charges_back[invoice_id].amount if invoice_id in charges_back else 0)
            for invoice_id, owed in request.billing.unpaid_invoices.items()
        ),
        billing_date=find_billing_date(request.subscription, request.next_invoice),
        ends_at=find_scheduled_end(request.subscription) if cleared_end is None else None,
        ends_at_cleared=cleared_end,
        estimate=request.billing.has_metered_usage or bool(request.plan.metered),
    )


def is_of_change(request: QuoteRequest, line: QuoteLine) -> bool:
    """Return whether the change makes this proration. An earlier change's prorations begin in another second."""
    return line.proration and line.period.start == request.proration_date


def charge_back_unpaid(request: QuoteRequest, lines: list[dict[str, Any]]) -> dict[str, QuoteLine]:
    """Return a line for each unpaid invoice that the change makes Stripe credit, by the invoice's id.

    It charges the credit back, as ``plan_changes/unpaid_credits`` does after the change. The credit then lowers what
    the organization owes on that invoice. It charges back at most what is unpaid.
    """
    found: dict[str, QuoteLine] = {}
    for line in lines:
        invoice_id, credit = find_credited_invoice(line), parse_line(line)
        if invoice_id in request.billing.unpaid_invoices and is_of_change(request, credit):
            earlier = found[invoice_id].amount if invoice_id in found else 0
            found[invoice_id] = replace(
                credit, description=CHARGED_BACK, amount=earlier - credit.amount, proration=False
            )
    unpaid = request.billing.unpaid_invoices
    return {key: replace(line, amount=min(line.amount, unpaid[key])) for key, line in found.items()}


def load_request(
    gateway: Gateway, caller: Caller, plan: str | None, quantity: int | None, now: datetime
) -> QuoteRequest:
    """Load the request from the local tables. Raises NotEnrolled, and what ``policy.check_change`` raises."""
    with gateway.database.transaction() as session:
        refuse_deleted_customer(session.get(Organization, caller.organization_id))
        billing = load_billing_state(session, caller.organization_id, gateway.catalog)
        target = policy.resolve_target(gateway.catalog, billing.plan_state, plan)
        units = quantity or billing.default_quantity(target.key)
        try:
            policy.check_change(gateway.catalog, billing.plan_state, target, units, billing.contract)
        except NoChange:  # during a trial, the quote says what the present plan will cost after it
            if not is_trialing(billing.subscription):
                raise
        if billing.subscription is None or billing.base_item is None or billing.subscription_version is None:
            raise NotEnrolled("Enrol the organization first: POST /v1/subscription.")
        return QuoteRequest(
            organization_id=caller.organization_id,
            billing=billing,
            subscription=billing.subscription,
            version=billing.subscription_version,
            plan=target,
            quantity=units,
            charge_now=choose_settlement(gateway.catalog, billing, billing.plan_state.requested_plan, target, units)
            == "now",
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
