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
from gateway.services.customers.deletion import detect_deletion, refuse_deleted_customer
from gateway.services.mirror.refresh import refresh
from gateway.services.quotes import token as quote_token
from gateway.services.quotes.token import Terms
from gateway.services.runtime import Caller, Gateway
from gateway.services.subscription import policy
from gateway.services.subscription.billing_state import Position, ProrationBehavior, charge_for, position_of
from gateway.services.subscription.plan_details import Period
from gateway.stripe_api.client import outside_period, stripe_call
from gateway.stripe_api.snapshots import SubscriptionSnapshot
from gateway.stripe_api.times import from_unix, to_unix


@dataclass(frozen=True, kw_only=True)
class QuoteLine:
    """One line as Stripe words it; ``amount`` in minor units, negative for a credit."""

    description: str | None
    amount: int
    currency: str
    period: Period
    proration: bool


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
class Wanted:
    """The change that is asked about, and where it starts from."""

    organization_id: str
    position: Position
    subscription_id: str
    version: str
    plan: CatalogPlan
    quantity: int
    charge_now: bool
    proration_date: datetime
    billing_date: datetime


def quote_change(gateway: Gateway, caller: Caller, plan: str | None, quantity: int | None) -> Quote:
    """Ask Stripe what moving to ``quantity`` units of ``plan`` costs from this second on.

    Raises NotEnrolled, PeriodOver if Stripe has not begun the next one either, and what ``policy.check`` raises; a card
    is not needed to ask.
    """
    now = gateway.clock().replace(microsecond=0)
    wanted = read_wish(gateway, caller, plan, quantity, now)
    try:
        return quote(gateway, wanted, now)
    except PeriodOver:  # of which nobody has told yet
        refresh(gateway, SubscriptionSnapshot.kind, wanted.subscription_id)
    return quote(gateway, read_wish(gateway, caller, plan, quantity, now), now)


def quote(gateway: Gateway, wanted: Wanted, now: datetime) -> Quote:
    """The quote of what is wanted. Raises PeriodOver."""
    if wanted.billing_date <= now:
        raise PeriodOver("The billing period ends in this moment; please try again.")
    at_once = ask_at_once(gateway, wanted) if wanted.charge_now else None
    later = ask(gateway, wanted, "none" if wanted.charge_now else "create_prorations")
    next_lines = still_to_be_billed(later, at_once)
    lines = [line_of(line) for line in (*lines_of(at_once), *next_lines)]
    prorations = [line for line in lines if line.proration and line.period.start == wanted.proration_date]
    due_now = at_once.amount_due if at_once is not None else 0
    terms = Terms(
        organization_id=wanted.organization_id,
        subscription_version=wanted.version,
        price_id=wanted.position.price_of(wanted.plan),
        plan=wanted.plan.key,
        quantity=wanted.quantity,
        proration_date=to_unix(wanted.proration_date),
        amount_due_now=due_now,
        prorated=sum(line.amount for line in prorations),
        currency=later.currency,
    )
    expires_at = min(now + QUOTE_LIFETIME, wanted.billing_date)
    return Quote(
        token=quote_token.sign(gateway.config, terms, expires_at),
        expires_at=expires_at,
        proration_date=wanted.proration_date,
        plan=wanted.plan.key,
        quantity=wanted.quantity,
        currency=later.currency,
        lines=lines,
        amount_due_now=due_now,
        amount_due_on_billing_date=due_later(later, next_lines, at_once),
        credit=-sum(line.amount for line in prorations if line.amount < 0),
        billing_date=wanted.billing_date,
        estimate=wanted.position.is_metered,
    )


def read_wish(gateway: Gateway, caller: Caller, plan: str | None, quantity: int | None, now: datetime) -> Wanted:
    """What is asked about, from the local tables. Raises as ``quote_change`` does."""
    with gateway.database.transaction() as session:
        refuse_deleted_customer(session.get(Organization, caller.organization_id))
        position = position_of(session, caller.organization_id)
        target = policy.target_of(gateway.catalog, position.state, plan)
        units = quantity or position.quantity_on(target.key)
        policy.check(position.state, target, units)
        if position.subscription is None or position.base_item is None or position.version is None:
            raise NotEnrolled("Enrol the organization first: POST /v1/subscription.")
        return Wanted(
            organization_id=caller.organization_id,
            position=position,
            subscription_id=position.subscription.id,
            version=position.version,
            plan=target,
            quantity=units,
            charge_now=charge_for(gateway.catalog, position.state.requested_plan, target) == "now",
            proration_date=free_second(session, position.subscription, position.base_item, now),
            billing_date=datetime.fromisoformat(position.base_item["current_period_end"]),
        )


def ask_at_once(gateway: Gateway, wanted: Wanted) -> Invoice | None:
    """The invoice that the change makes; None if nothing is prorated: Stripe then shows the next one instead."""
    invoice = ask(gateway, wanted, "always_invoice")
    lines = [line_of(line) for line in lines_of(invoice)]
    return invoice if any(line.proration and line.period.start == wanted.proration_date for line in lines) else None


def free_second(session: Session, subscription: Subscription, base_item: dict[str, Any], now: datetime) -> datetime:
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


def ask(gateway: Gateway, wanted: Wanted, proration_behavior: ProrationBehavior) -> Invoice:
    """Stripe's preview: of the invoice made at once (``always_invoice``), else of the next one on the billing date.

    Raises PeriodOver.
    """
    details: Details = {
        "items": wanted.position.items_for(wanted.plan, wanted.quantity),
        "proration_behavior": proration_behavior,
    }
    if proration_behavior != "none":  # Stripe refuses the two together
        details["proration_date"] = to_unix(wanted.proration_date)
    try:
        with detect_deletion(gateway, wanted.organization_id), stripe_call():
            return gateway.stripe.v1.invoices.create_preview(
                {"subscription": wanted.subscription_id, "subscription_details": details}
            )
    except StripeRejected as error:
        if outside_period(error):
            raise PeriodOver("The billing period ends in this moment; please try again.") from error
        raise


def still_to_be_billed(later: Invoice, at_once: Invoice | None) -> list[dict[str, Any]]:
    """The lines of the next invoice. Each preview takes all that is pending; what the one at once takes is gone."""
    billed = {item_of(line) for line in lines_of(at_once)} - {None}
    return [line for line in lines_of(later) if item_of(line) not in billed]


def due_later(later: Invoice, lines: list[dict[str, Any]], at_once: Invoice | None) -> int:
    """What the next invoice asks for, with ``lines`` as its lines.

    Each preview begins with the customer's balance of today; what the invoice at once leaves of it, or adds to it as a
    credit, is what the next one begins with. Less than a card can be charged (some 50 cents) Stripe carries over.
    """
    if at_once is None:
        return later.amount_due
    gone = sum(net(line) for line in lines_of(later)) - sum(net(line) for line in lines)
    balance = at_once.starting_balance + at_once.total - at_once.amount_due
    return max(0, later.total - gone + balance)


def net(line: dict[str, Any]) -> int:
    """What a line adds to its invoice's total: with its discounts and with taxes that come on top."""
    discounts: int = sum(each["amount"] for each in line["discount_amounts"] or ())
    on_top: int = sum(each["amount"] for each in line["taxes"] or () if each["tax_behavior"] == "exclusive")
    amount: int = line["amount"]
    return amount - discounts + on_top


def item_of(line: dict[str, Any]) -> str | None:
    """The invoice item behind a line; None if the subscription itself is."""
    parent: dict[str, Any] = line["parent"] or {}
    details = parent.get("invoice_item_details")
    return details["invoice_item"] if details is not None else None


def lines_of(invoice: Invoice | None) -> list[dict[str, Any]]:
    """All lines of a preview: it shows them all, since it cannot be asked for its further pages."""
    lines: list[dict[str, Any]] = invoice.to_dict(for_json=True)["lines"]["data"] if invoice is not None else []
    return lines


def line_of(line: dict[str, Any]) -> QuoteLine:
    """A line of Stripe's preview."""
    parent = line["parent"]
    return QuoteLine(
        description=line["description"],
        amount=line["amount"],
        currency=line["currency"],
        period=Period(start=from_unix(line["period"]["start"]), end=from_unix(line["period"]["end"])),
        proration=parent is not None and parent[parent["type"]]["proration"],
    )
