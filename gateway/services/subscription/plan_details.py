"""Plan Details: what the Billing page shows of an organization. Only the local tables are read."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import and_, bindparam, exists, select

from gateway.catalog import Catalog
from gateway.db.models import (
    IS_OPEN,
    Invoice,
    Organization,
    OrganizationPlan,
    PaymentMethod,
    PlanChange,
    Subscription,
    UpcomingInvoice,
)
from gateway.services.customers.payment_methods import ShownPaymentMethod, to_shown
from gateway.services.invoices.listing import IS_PAYABLE, IS_VISIBLE
from gateway.services.mirror.charged_method import IS_CHARGED
from gateway.services.plan_table.derive import FREE, NEVER_ENROLLED, PlanState
from gateway.services.plan_table.standing import GOOD
from gateway.services.runtime import Caller, Gateway
from gateway.services.subscription import policy


@dataclass(frozen=True, kw_only=True)
class Period:
    """A span of time. ``end`` is the first moment after it."""

    start: datetime
    end: datetime


@dataclass(frozen=True, kw_only=True)
class UpcomingCharges:
    """The charges that Stripe calculated before the billing date."""

    amount_due: int
    currency: str
    calculated_at: datetime | None
    billing_date: datetime


@dataclass(frozen=True, kw_only=True)
class PendingChange:
    """The change that has not ended yet."""

    id: str
    state: str
    to_plan: str
    quantity: int


@dataclass(frozen=True, kw_only=True)
class PlanDetails:
    """One organization's plan with its period, payment method, latest invoice, open change and possible actions."""

    organization_id: str
    plan: str
    plan_name: str
    requested_plan: str
    status: str
    standing: str
    quantity: int
    currency: str | None
    current_period: Period | None
    billing_date: datetime | None
    upcoming_charges: UpcomingCharges | None
    payment_method: ShownPaymentMethod | None
    latest_invoice: Invoice | None
    pending_change: PendingChange | None
    actions: list[str]
    as_of: datetime | None
    version: int


def load_plan_details(gateway: Gateway, caller: Caller) -> PlanDetails:
    """Load the caller's Plan Details. An organization that has not enrolled is on Free with status ``none``."""
    with gateway.database.reading() as session:
        row = session.execute(SELECT_DETAILS, {"organization_id": caller.organization_id}).one_or_none()
    found = DetailsRow(*row) if row is not None else EMPTY_ROW
    return build_plan_details(gateway.catalog, caller.organization_id, found)


class DetailsRow(NamedTuple):
    """The columns of ``SELECT_DETAILS`` in its order."""

    deleted: bool
    plan: OrganizationPlan | None
    upcoming: UpcomingInvoice | None
    payment_method: PaymentMethod | None
    invoice: Invoice | None
    change: PlanChange | None
    may_pay: bool
    """Whether an invoice can be paid now."""


EMPTY_ROW = DetailsRow(False, None, None, None, None, None, may_pay=False)
"""The row of an organization that the gateway has never seen."""

# One statement, because the Billing page waits for it and every change answers with it.
NEWEST_INVOICE = (
    select(Invoice.id)
    .where(Invoice.organization_id == Organization.id, IS_VISIBLE)
    .order_by(Invoice.created.desc(), Invoice.id.desc())
    .limit(1)
    .correlate(Organization)
    .scalar_subquery()
)
MAY_PAY = exists().where(Invoice.organization_id == Organization.id, IS_PAYABLE).correlate(Organization)
SELECT_DETAILS = (
    select(Organization.deleted, OrganizationPlan, UpcomingInvoice, PaymentMethod, Invoice, PlanChange, MAY_PAY)
    .outerjoin(OrganizationPlan, OrganizationPlan.organization_id == Organization.id)
    .outerjoin(Subscription, Subscription.id == OrganizationPlan.subscription_id)
    .outerjoin(
        UpcomingInvoice,
        and_(
            UpcomingInvoice.subscription_id == OrganizationPlan.subscription_id,
            # Charges calculated for an earlier billing date would be wrong for the next one.
            UpcomingInvoice.billing_date == OrganizationPlan.current_period_end,
        ),
    )
    .outerjoin(PaymentMethod, IS_CHARGED)
    .outerjoin(Invoice, Invoice.id == NEWEST_INVOICE)
    # A unique index allows one open change per organization.
    .outerjoin(PlanChange, and_(PlanChange.organization_id == Organization.id, IS_OPEN))
    .where(Organization.id == bindparam("organization_id"))
)


def build_plan_details(catalog: Catalog, organization_id: str, found: DetailsRow) -> PlanDetails:
    """Build the Plan Details from the row that ``SELECT_DETAILS`` found."""
    row = found.plan
    state = PlanState.of_row(row) if row is not None else NEVER_ENROLLED
    period = None
    if state.current_period_start is not None and state.current_period_end is not None:
        period = Period(start=state.current_period_start, end=state.current_period_end)
    actions = policy.list_actions(state.requested_plan, catalog)
    if found.may_pay and state.standing != GOOD:
        actions = [policy.PAY_INVOICE, *actions]
    return PlanDetails(
        organization_id=organization_id,
        plan=state.plan,
        plan_name=catalog.name_of(state.plan),
        requested_plan=state.requested_plan,
        status=state.status,
        standing=state.standing,
        quantity=state.quantity,
        currency=state.currency,
        current_period=period,
        billing_date=period.end if period is not None and state.requested_plan != FREE else None,
        upcoming_charges=build_upcoming_charges(found.upcoming) if found.upcoming is not None else None,
        payment_method=to_shown(found.payment_method) if found.payment_method is not None else None,
        latest_invoice=found.invoice,
        pending_change=build_pending_change(found.change) if found.change is not None else None,
        # A customer that was deleted at Stripe cannot come back, so only sales can help.
        actions=[policy.CONTACT_SALES] if found.deleted else actions,
        as_of=row.as_of if row is not None else None,
        version=row.version if row is not None else 0,
    )


def build_upcoming_charges(upcoming: UpcomingInvoice) -> UpcomingCharges:
    """Build the upcoming charges from their row."""
    return UpcomingCharges(
        amount_due=upcoming.amount_due,
        currency=upcoming.currency,
        calculated_at=upcoming.as_of,
        billing_date=upcoming.billing_date,
    )


def build_pending_change(change: PlanChange) -> PendingChange:
    """Build the summary of an open change."""
    return PendingChange(id=change.id, state=change.state, to_plan=change.to_plan, quantity=change.quantity)
