"""Plan Details: what the Billing page shows of an organization, from the local tables alone."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.db.models import (
    Invoice,
    Organization,
    OrganizationPlan,
    PaymentMethod,
    UpcomingInvoice,
)
from gateway.services import policy
from gateway.services.catalog import Catalog
from gateway.services.context import Caller, Gateway
from gateway.services.payment_methods import Card, card_of
from gateway.services.plan_table import FREE, NEVER_ENROLLED, PlanState
from gateway.services.positions import open_change


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
        return read_details(session, gateway.catalog, caller.organization_id)


def read_details(session: Session, catalog: Catalog, organization_id: str) -> PlanDetails:
    """The same inside a transaction."""
    organization = session.get(Organization, organization_id)
    row = session.get(OrganizationPlan, organization_id)
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
        upcoming_charges=upcoming_charges(session, state),
        payment_method=default_card(session, organization),
        latest_invoice=latest_invoice(session, organization_id),
        pending_change=pending_change(session, organization_id),
        # a customer who was deleted at Stripe does not come back: only sales can help
        actions=[policy.CONTACT_SALES] if organization is not None and organization.deleted else actions,
        as_of=row.as_of if row is not None else None,
        version=row.version if row is not None else 0,
    )


def upcoming_charges(session: Session, state: PlanState) -> UpcomingCharges | None:
    """The calculated charges, as long as their billing date is still the next one."""
    if state.subscription_id is None:
        return None
    row = session.get(UpcomingInvoice, state.subscription_id)
    if row is None or row.billing_date != state.current_period_end:
        return None
    return UpcomingCharges(
        amount_due=row.amount_due, currency=row.currency, calculated_at=row.as_of, billing_date=row.billing_date
    )


def default_card(session: Session, organization: Organization | None) -> Card | None:
    """The card that is charged."""
    if organization is None or organization.default_payment_method_id is None:
        return None
    row = session.get(PaymentMethod, organization.default_payment_method_id)
    return card_of(row) if row is not None and not row.detached else None


def latest_invoice(session: Session, organization_id: str) -> Invoice | None:
    """The newest invoice."""
    query = select(Invoice).where(Invoice.organization_id == organization_id)
    return session.scalars(query.order_by(Invoice.created.desc(), Invoice.id.desc()).limit(1)).first()


def pending_change(session: Session, organization_id: str) -> PendingChange | None:
    """The change that has not ended."""
    if (row := open_change(session, organization_id)) is None:
        return None
    return PendingChange(id=row.id, state=row.state, to_plan=row.to_plan, quantity=row.quantity)
