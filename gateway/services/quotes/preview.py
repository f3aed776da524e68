"""Quote a change. Stripe computes its cost from one second on, and the quote's token buys it at that price."""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Literal, cast

from stripe import Invoice

from gateway.config import QUOTE_LIFETIME
from gateway.errors import BillingAddressRequired, NotEnrolled, PeriodOver, StripeRejected
from gateway.services.customers.deletion import detect_deletion
from gateway.services.customers.existing import introduce_organization
from gateway.services.entitlements.over_limits import OverLimit, find_over_limits
from gateway.services.quotes.endings import preview_endings
from gateway.services.quotes.lines import (
    QuoteLine,
    Sums,
    compute_next_amount_due,
    compute_next_total,
    list_lines,
    net_amount,
    parse_line,
    select_credits,
    select_remaining_lines,
    sum_up,
)
from gateway.services.quotes.request import QuoteRequest, load_request
from gateway.services.quotes.token import Terms, sign_token
from gateway.services.quotes.unpaid_time import predict_charges
from gateway.services.runtime import Caller, Gateway
from gateway.services.subscription.exposure import find_max_quantity
from gateway.services.subscription.pricing import build_update_items, get_price, name_prices
from gateway.services.subscription.renewals import refresh_renewal
from gateway.services.subscription.scheduled_end import build_end_params, find_cleared_end
from gateway.services.subscription.tax import build_tax_params
from gateway.services.subscription.terms import find_billing_date, find_scheduled_end
from gateway.services.subscription.trials import is_trialing
from gateway.stripe_api.client import NEEDS_ADDRESS, is_nothing_upcoming, is_outside_period, stripe_call
from gateway.stripe_api.times import from_unix, to_unix

if TYPE_CHECKING:
    from stripe.params import InvoiceCreatePreviewParams
    from stripe.params import InvoiceCreatePreviewParamsSubscriptionDetails as Details

ProrationBehavior = Literal["always_invoice", "create_prorations", "none"]
LACKS_ADDRESS = "requires_location_inputs"  # https://docs.stripe.com/api/invoices/object#invoice_object-automatic_tax


@dataclass(frozen=True, kw_only=True)
class Quote:
    """What the change costs if the caller confirms it with ``token`` before ``expires_at``. Amounts in minor units."""

    token: str = field(repr=False)
    expires_at: datetime
    proration_date: datetime
    plan: str
    quantity: int
    interval: str
    max_quantity: int
    """How many units the organization may have now. A confirmation of a larger quote is refused."""
    currency: str
    lines: list[QuoteLine]
    amount_due_now: int
    amount_due_on_billing_date: int
    sums: Sums
    credit: int
    """What the organization gets back for time that it paid and did not use, with its discounts and taxes.

    A charge that waits for the billing date is not paid. A change that takes it back credits nothing.
    """
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


def quote_change(
    gateway: Gateway, caller: Caller, plan: str | None, quantity: int | None, interval: str | None = None
) -> Quote:
    """Quote the move to ``quantity`` units of ``plan`` from this second on. A quote needs no card.

    If the mirror may lack a renewal, refresh the subscription and its invoice first. Raise what ``load_request``
    raises. Raise PeriodOver if Stripe has not begun the next period either.
    """
    now = gateway.clock().replace(microsecond=0)
    try:
        request = load_request(gateway, caller, plan, quantity, interval, now)
    except NotEnrolled:  # the organization may have a customer that another program made
        introduce_organization(gateway, caller)
        raise
    # The webhooks of the next period may still be on their way.
    if not request.billing.lacks_renewal(gateway.catalog.floor.key, now):
        with suppress(PeriodOver):
            return build_quote(gateway, request, now)
    refresh_renewal(gateway, caller.organization_id)
    return build_quote(gateway, load_request(gateway, caller, plan, quantity, interval, now), now)


def build_quote(gateway: Gateway, request: QuoteRequest, now: datetime) -> Quote:
    """Build the quote from Stripe's previews. Raise PeriodOver."""
    if request.next_invoice <= now:
        raise PeriodOver("The billing period is ending. Please try again.")
    immediate = preview_immediate_invoice(gateway, request) if request.charge_now else None
    next_invoice = preview_next_invoice(gateway, request)
    if request.restarts and (shown := immediate or next_invoice) is not None:
        request = replace(request, proration_date=read_proration_date(shown) or request.proration_date)
    next_lines = select_remaining_lines(next_invoice, immediate)
    own_lines = [*list_lines(immediate), *next_lines]
    prorations = [line for line in own_lines if request.makes(parse_line(line))]
    endings = preview_endings(gateway, request.billing.duplicates) if request.plan.is_floor else []
    ending_lines = [line for each in endings for line in list_lines(each)]
    subscriptions = (request.subscription.id, *request.billing.duplicates)
    unsettled = [invoice for each in subscriptions for invoice in request.billing.list_unsettled(each)]
    own_charges = predict_charges(gateway, unsettled, prorations)
    charges = [*own_charges, *predict_charges(gateway, unsettled, ending_lines)]
    own_charged_back = sum(each.total for each in own_charges)
    charged_back = sum(each.total for each in charges)
    due_now = immediate.amount_due if immediate is not None else 0
    due_for_endings = sum(each.amount_due for each in endings)
    next_total = compute_next_total(next_invoice, next_lines, own_charged_back)
    due_later = compute_next_amount_due(next_invoice, next_total, immediate)
    total = next_total + (immediate.total if immediate is not None else 0)
    total += sum(each.total for each in endings) + charged_back - own_charged_back
    stripe_lines = [*own_lines, *ending_lines]
    credited = select_credits([*prorations, *ending_lines], stripe_lines)
    cleared_end = find_cleared_end(gateway.catalog, request.billing, request.plan)
    terms = Terms(
        organization_id=request.organization_id,
        subscription_version=request.version,
        price_id=name_prices(request.billing, request.plan),
        plan=request.plan.key,
        quantity=request.quantity,
        interval=request.billing.contract.interval if request.billing.contract.moves else "",
        proration_date=to_unix(request.proration_date),
        amount_due_now=due_now,
        prorated=sum(line["amount"] for line in prorations) + sum(each.line.amount for each in own_charges),
        currency=request.subscription.currency,
    )
    expires_at = min(now + QUOTE_LIFETIME, request.next_invoice)
    return Quote(
        token=sign_token(gateway.config, terms, expires_at),
        expires_at=expires_at,
        proration_date=request.proration_date,
        plan=request.plan.key,
        quantity=request.quantity,
        interval=get_price(request.billing, request.plan).interval,
        max_quantity=find_max_quantity(gateway.catalog, request.billing, request.plan),
        currency=request.subscription.currency,
        lines=[*(parse_line(line) for line in stripe_lines), *(each.line for each in charges)],
        amount_due_now=due_now + due_for_endings,
        amount_due_on_billing_date=due_later,
        sums=sum_up(
            stripe_lines,
            total,
            due_now + due_for_endings + due_later,
            charged_back=sum(each.line.amount for each in charges),
            included=sum(each.taxes_included for each in charges),
        ),
        credit=-sum(net_amount(line) for line in credited) - charged_back,
        amount_unpaid=sum(request.billing.unpaid_invoices.values()) - sum(each.noted for each in charges),
        billing_date=find_next_billing_date(request, next_invoice),
        ends_at=find_scheduled_end(request.subscription) if cleared_end is None else None,
        ends_at_cleared=cleared_end,
        # No date fixes the prorations of an ending, and no quote knows the usage that is still to come.
        estimate=request.billing.has_metered_usage or bool(request.plan.metered) or bool(endings),
        over_limits=find_over_limits(gateway.catalog, request.plan, request.levels),
    )


def find_next_billing_date(request: QuoteRequest, next_invoice: Invoice | None) -> datetime | None:
    """Return when Stripe makes the next invoice after the change, or None if there is none.

    If the change restarts the periods, Stripe's preview says when the first one ends.
    """
    if not request.restarts:
        return find_billing_date(request.subscription, request.next_invoice)
    return find_billing_date(request.subscription, from_unix(next_invoice.period_end)) if next_invoice else None


def preview_immediate_invoice(gateway: Gateway, request: QuoteRequest) -> Invoice | None:
    """Preview the invoice that the change makes. Return None if the change prorates nothing.

    Stripe makes no invoice then, and its preview shows the next invoice instead.
    """
    invoice = preview_invoice(gateway, request, "always_invoice")
    if request.restarts:
        return invoice if read_proration_date(invoice) is not None else None
    lines = [parse_line(line) for line in list_lines(invoice)]
    return invoice if any(request.makes(line) for line in lines) else None


def read_proration_date(preview: Invoice) -> datetime | None:
    """Return the second from which Stripe prorates in a preview, or None if it prorates nothing.

    https://docs.stripe.com/api/invoices/object#invoice_object-parent-subscription_details-subscription_proration_date
    """
    details = preview.parent.subscription_details if preview.parent is not None else None
    second = details.subscription_proration_date if details is not None else None
    return from_unix(second) if second is not None else None


def preview_next_invoice(gateway: Gateway, request: QuoteRequest) -> Invoice | None:
    """Preview the next invoice. Return None if the subscription ends first, and nothing is left for it."""
    try:
        return preview_invoice(gateway, request, "none" if request.charge_now else "create_prorations")
    except StripeRejected as error:
        if request.charge_now and is_nothing_upcoming(error):
            return None
        raise


def preview_invoice(gateway: Gateway, request: QuoteRequest, proration_behavior: ProrationBehavior) -> Invoice:
    """Return Stripe's preview of an invoice. Raise PeriodOver.

    With ``always_invoice`` it is the immediate invoice, otherwise the next one on the billing date. Raise
    BillingAddressRequired if Stripe cannot compute the taxes of a plan.
    """
    details: Details = {
        "items": build_update_items(request.billing, request.plan, request.quantity),
        "proration_behavior": proration_behavior,
    }
    if request.restarts:
        details["billing_cycle_anchor"] = {"type": "now"}
    details |= cast("Details", build_end_params(gateway.catalog, request.billing, request.plan))
    # Stripe refuses the date together with "none". New periods begin in a second of its own clock.
    if proration_behavior != "none" and not request.restarts:
        details["proration_date"] = to_unix(request.proration_date)
    params: InvoiceCreatePreviewParams = {
        "subscription": request.subscription.id,
        "subscription_details": details,
    }
    is_free_now = is_trialing(request.subscription)
    tax = build_tax_params(gateway.catalog, request.billing, request.plan, is_free_now=is_free_now)
    try:
        with detect_deletion(gateway, request.organization_id), stripe_call():
            preview = gateway.stripe.v1.invoices.create_preview(params | cast("InvoiceCreatePreviewParams", tax))
    except StripeRejected as error:
        if is_outside_period(error):
            raise PeriodOver("The billing period is ending. Please try again.") from error
        raise
    if preview.automatic_tax.status == LACKS_ADDRESS and not request.plan.is_floor:
        raise BillingAddressRequired(NEEDS_ADDRESS)
    return preview
