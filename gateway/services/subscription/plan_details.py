"""Plan Details: what the Billing page shows of an organization, from the local tables alone."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import and_, bindparam, select

from gateway.catalog import Catalog
from gateway.db.models import (
    IS_OPEN,
    Invoice,
    Organization,
    OrganizationPlan,
    PaymentMethod,
    PlanChange,
    UpcomingInvoice,
)
from gateway.services.customers.payment_methods import Card, to_card
from gateway.services.plan_table.derive import FREE, NEVER_ENROLLED, PlanState
from gateway.services.runtime import Caller, Gateway
from gateway.services.subscription import policy


@dataclass(frozen=True, kw_only=True)
class Period:
    """A span of time; the end belongs to the next."""

    start: datetime
    end: datetime


@dataclass(frozen=True, kw_only=True)
class UpcomingCharges:
    """What Stripe calculated ahead of the billing date."""

    amount_due: int
    currency: str
    calculated_at: datetime | None
    billing_date: datetime


@dataclass(frozen=True, kw_only=True)
class PendingChange:
    """The change that is on its way."""

    id: str
    state: str
    to_plan: str
    quantity: int


@dataclass(frozen=True, kw_only=True)
class PlanDetails:
    """One organization's plan, and what belongs to it."""

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
    payment_method: Card | None
    latest_invoice: Invoice | None
    pending_change: PendingChange | None
    actions: list[str]
    as_of: datetime | None
    version: int


def plan_details(gateway: Gateway, caller: Caller) -> PlanDetails:
    """The Plan Details of the caller's organization; one that nobody enrolled is on Free with status ``none``."""
    with gateway.database.reading() as session:
        found = session.execute(DETAILS, {"organization_id": caller.organization_id}).one_or_none()
    return details_of(gateway.catalog, caller.organization_id, Found(*found) if found is not None else NOTHING)


class Found(NamedTuple):
    """What ``DETAILS`` selects of an organization, in its order."""

    deleted: bool
    row: OrganizationPlan | None
    upcoming: UpcomingInvoice | None
    card: PaymentMethod | None
    invoice: Invoice | None
    change: PlanChange | None


NOTHING = Found(False, *[None] * 5)
"""Of an organization that was never seen."""

# One statement, since this is what the Billing page waits for, and what each change is answered with.
NEWEST_INVOICE = (
    select(Invoice.id)
    .where(Invoice.organization_id == Organization.id)
    .order_by(Invoice.created.desc(), Invoice.id.desc())
    .limit(1)
    .correlate(Organization)
    .scalar_subquery()
)
DETAILS = (
    select(Organization.deleted, OrganizationPlan, UpcomingInvoice, PaymentMethod, Invoice, PlanChange)
    .outerjoin(OrganizationPlan, OrganizationPlan.organization_id == Organization.id)
    .outerjoin(
        UpcomingInvoice,
        and_(
            UpcomingInvoice.subscription_id == OrganizationPlan.subscription_id,
            # calculated charges, as long as their billing date is still the next one
            UpcomingInvoice.billing_date == OrganizationPlan.current_period_end,
        ),
    )
    .outerjoin(
        PaymentMethod,
        and_(PaymentMethod.id == Organization.default_payment_method_id, PaymentMethod.detached.is_(False)),
    )
    .outerjoin(Invoice, Invoice.id == NEWEST_INVOICE)
    # the database holds it to one
    .outerjoin(PlanChange, and_(PlanChange.organization_id == Organization.id, IS_OPEN))
    .where(Organization.id == bindparam("organization_id"))
)


def details_of(catalog: Catalog, organization_id: str, found: Found) -> PlanDetails:
    """The same from what was found."""
    row = found.row
    state = PlanState.of_row(row) if row is not None else NEVER_ENROLLED
    period = None
    if state.current_period_start is not None and state.current_period_end is not None:
        period = Period(start=state.current_period_start, end=state.current_period_end)
    actions = policy.actions_from(state.requested_plan, catalog)
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
        upcoming_charges=charges_of(found.upcoming) if found.upcoming is not None else None,
        payment_method=to_card(found.card) if found.card is not None else None,
        latest_invoice=found.invoice,
        pending_change=pending(found.change) if found.change is not None else None,
        # a customer who was deleted at Stripe does not come back: only sales can help
        actions=[policy.CONTACT_SALES] if found.deleted else actions,
        as_of=row.as_of if row is not None else None,
        version=row.version if row is not None else 0,
    )


def charges_of(upcoming: UpcomingInvoice) -> UpcomingCharges:
    """The calculated charges."""
    return UpcomingCharges(
        amount_due=upcoming.amount_due,
        currency=upcoming.currency,
        calculated_at=upcoming.as_of,
        billing_date=upcoming.billing_date,
    )


def pending(change: PlanChange) -> PendingChange:
    """The change that has not ended."""
    return PendingChange(id=change.id, state=change.state, to_plan=change.to_plan, quantity=change.quantity)
