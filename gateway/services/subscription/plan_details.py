"""Plan Details: what the Billing page shows of an organization. Only the local tables are read."""

from dataclasses import dataclass
from datetime import datetime

from gateway.json_types import Json
from gateway.services.customers.existing import introduce_organization
from gateway.services.customers.payment_methods import ShownPaymentMethod
from gateway.services.invoices.upcoming import UpcomingCharges, build_upcoming_charges
from gateway.services.plan_table.derive import PlanState, never_enrolled
from gateway.services.plan_table.selection import Plans, select_base_item
from gateway.services.plan_table.standing import GOOD
from gateway.services.runtime import Caller, Gateway
from gateway.services.subscription import policy
from gateway.services.subscription.details_row import DETAILS, EMPTY_ROW, DetailsRow
from gateway.services.subscription.payment_problem import (
    PaymentProblem,
    find_payment_problem,
    load_unpaid_invoices,
)
from gateway.services.subscription.terms import (
    Contract,
    PlanPrice,
    find_billing_date,
    find_next_invoice_date,
    find_scheduled_end,
    is_collection_paused,
)
from gateway.services.subscription.trials import TrialView, find_startable, view_trial
from gateway.stripe_api.snapshots import ENDED


@dataclass(frozen=True, kw_only=True)
class Period:
    """A span of time. ``end`` is the first moment after it."""

    start: datetime
    end: datetime


@dataclass(frozen=True, kw_only=True)
class Discount:
    """A discount that Stripe takes off the invoices, as a percentage or as an amount in minor units."""

    name: str
    percent_off: float | None
    amount_off: int | None
    currency: str | None
    ends_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class InvoiceSummary:
    """An invoice in short, with its total in minor units."""

    id: str
    status: str
    total: int
    currency: str


@dataclass(frozen=True, kw_only=True)
class PendingChange:
    """The change that has not ended yet."""

    id: str
    state: str
    to_plan: str
    quantity: int


@dataclass(frozen=True, kw_only=True)
class ShownGrant:
    """A complimentary plan, and when it ends."""

    plan: str
    until: datetime


@dataclass(frozen=True, kw_only=True)
class PlanDetails:
    """One organization's plan with its price, period, payment method, open change and possible actions."""

    organization_id: str
    plan: str
    plan_name: str
    requested_plan: str
    status: str
    standing: str
    quantity: int
    currency: str | None
    price: PlanPrice | None
    discounts: list[Discount]
    returned_payments: list[Json]
    grant: ShownGrant | None
    current_period: Period | None
    ends_at: datetime | None
    paused: bool
    paused_until: datetime | None
    scheduled: bool
    managed_by_sales: bool
    billing_date: datetime | None
    upcoming_charges: UpcomingCharges | None
    trial: TrialView | None
    payment_method: ShownPaymentMethod | None
    latest_invoice: InvoiceSummary | None
    payment_problem: PaymentProblem | None
    credit_balance: int
    """What Stripe takes off the next invoices, in minor units of the customer's currency."""
    pending_change: PendingChange | None
    actions: list[str]
    as_of: datetime | None
    version: int


def load_plan_details(gateway: Gateway, caller: Caller) -> PlanDetails:
    """Load the caller's Plan Details. An organization that has not enrolled is on the floor plan with status ``none``.

    On an organization's first request, queue the search for a customer that another program made for it.
    """
    rows = DETAILS.read(gateway.database, {"organization_id": caller.organization_id})
    if not rows:
        introduce_organization(gateway, caller)
    return build_plan_details(gateway, caller, DetailsRow(*rows[0]) if rows else EMPTY_ROW)


def build_plan_details(gateway: Gateway, caller: Caller, found: DetailsRow) -> PlanDetails:
    """Build the Plan Details from the row that ``SELECT_DETAILS`` found, and load unpaid invoices if there are any."""
    catalog, row, subscription = gateway.catalog, found.plan, found.subscription
    unpaid = load_unpaid_invoices(gateway.database, caller.organization_id) if found.may_pay else ()
    state = PlanState.of_row(row) if row is not None else never_enrolled(catalog.floor.key)
    state = state.at(gateway.clock(), catalog.floor.key)
    period, price, next_invoice, billing_date = None, None, None, None
    contract = Contract.of_enrolment(catalog, found.customer_currency, [caller.currency])
    trial = view_trial(subscription, has_method=found.payment_method is not None, now=gateway.clock())
    if state.current_period_start is not None and state.current_period_end is not None:
        period = Period(start=state.current_period_start, end=state.current_period_end)
    if subscription is not None and period is not None:
        plans = Plans(found.plan_of_product or {}, catalog.keys)
        base_plan, item = select_base_item(subscription, plans)
        contract = Contract.of(catalog, base_plan, subscription, item)
        price = contract.show_price(PlanPrice.of_item(subscription, item))
        if trial is None or trial.converts:  # otherwise Stripe makes no further invoice
            next_invoice = find_next_invoice_date(subscription.items)
        if next_invoice is not None and state.requested_plan != catalog.floor.key:
            billing_date = find_billing_date(subscription, next_invoice)
    actions = policy.list_actions(catalog, state.requested_plan, contract)
    if policy.can_change_quantity(catalog, state.requested_plan, contract, found.reported_units or ()):
        actions = [policy.CHANGE_QUANTITY.action, *actions]
    running = subscription if subscription is not None and subscription.status not in ENDED else None
    if find_startable(catalog, state.requested_plan, contract, running, had_trial=found.had_trial) is not None:
        actions = [policy.START_TRIAL.action, *actions]
    problem = find_payment_problem(unpaid, state.standing, has_method=found.payment_method is not None)
    is_due = state.standing != GOOD or contract.unbegun or problem is not None
    is_managed = found.deleted or catalog.is_managed_by_sales(state.requested_plan)
    if found.may_pay and is_due and not is_managed:
        actions = [policy.PAY_INVOICE, *actions]
    return PlanDetails(
        organization_id=caller.organization_id,
        plan=state.plan,
        plan_name=catalog.name_of(state.plan),
        requested_plan=state.requested_plan,
        status=state.status,
        standing=state.standing,
        quantity=state.quantity,
        currency=state.currency or found.customer_currency,
        price=price,
        discounts=list_discounts(found),
        returned_payments=state.returned_payments,
        grant=build_grant(state),
        current_period=period,
        ends_at=find_scheduled_end(subscription) if subscription is not None and period is not None else None,
        paused=subscription is not None and is_collection_paused(subscription),
        paused_until=subscription.paused_until if subscription is not None else None,
        scheduled=contract.scheduled,
        managed_by_sales=is_managed,
        billing_date=billing_date,
        upcoming_charges=build_upcoming_charges(found.upcoming, next_invoice),
        trial=trial,
        payment_method=ShownPaymentMethod(**found.payment_method) if found.payment_method is not None else None,
        latest_invoice=InvoiceSummary(**found.invoice) if found.invoice is not None else None,
        payment_problem=problem,
        credit_balance=max(0, -found.balance),
        pending_change=PendingChange(**found.change) if found.change is not None else None,
        # A customer that was deleted at Stripe cannot come back, so only sales can help.
        actions=[policy.CONTACT_SALES] if found.deleted else actions,
        as_of=row.as_of if row is not None else None,
        version=row.version if row is not None else 0,
    )


def build_grant(state: PlanState) -> ShownGrant | None:
    """Return the running grant, or None."""
    if state.granted_plan is None or state.granted_until is None:
        return None
    return ShownGrant(plan=state.granted_plan, until=state.granted_until)


def list_discounts(found: DetailsRow) -> list[Discount]:
    """Return the discounts of the subscription and its items. Without one, the customer's own discount counts.

    A discount that the subscription no longer names is used up. https://docs.stripe.com/billing/subscriptions/coupons
    """
    if found.subscription is None:
        return []
    current = [each for each in found.discounts or () if each["id"] in found.subscription.discount_ids]
    if not current:
        current = found.customer_discounts or []
    return [
        Discount(
            name=each["name"],
            percent_off=each["percent_off"],
            amount_off=each["amount_off"],
            currency=each["currency"],
            ends_at=datetime.fromisoformat(each["ends_at"]) if each["ends_at"] is not None else None,
        )
        for each in current
    ]
