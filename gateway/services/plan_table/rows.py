"""Read the rows that an organization's plan follows from, and the plans of the catalogue."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from gateway.db.models import (
    IS_OPEN,
    IS_UNPAID,
    Charge,
    Grant,
    Invoice,
    Organization,
    OrganizationPlan,
    Plan,
    PlanChange,
    Subscription,
    Trial,
    UpcomingInvoice,
)
from gateway.db.queries import among_those
from gateway.db.session import PLAN_RANKING, SUSPENDS_DISPUTED
from gateway.services.plan_table.attribution import find_reported_change_id
from gateway.services.plan_table.selection import Plans
from gateway.stripe_api.snapshots import Seen

IS_GRANTED_PLAN = and_(Grant.ended_at.is_(None), Grant.extends_trial.is_(False))
# The catalogue, product id -> plan. Other queries read it as one of their columns.
PLAN_OF_PRODUCT = select(func.json_object_agg(Plan.product_id, Plan.key)).where(Plan.key.is_not(None)).scalar_subquery()
# Built once, because building a statement takes as long as executing it.
ORGANIZATION_ROWS = (
    select(
        Organization.id,
        OrganizationPlan,
        Subscription,
        UpcomingInvoice,
        Invoice,
        Charge,
        PlanChange,
        Grant,
        Trial.reason,
        PLAN_OF_PRODUCT,
    )
    .outerjoin(OrganizationPlan, OrganizationPlan.organization_id == Organization.id)
    .outerjoin(Subscription, Subscription.organization_id == Organization.id)
    .outerjoin(UpcomingInvoice, UpcomingInvoice.subscription_id == Subscription.id)
    .outerjoin(Invoice, and_(Invoice.organization_id == Organization.id, IS_UNPAID))
    .outerjoin(Charge, Charge.organization_id == Organization.id)
    .outerjoin(
        PlanChange,
        and_(
            PlanChange.organization_id == Organization.id,
            or_(IS_OPEN, among_those(PlanChange.id, "named")),
        ),
    )
    .outerjoin(Grant, and_(Grant.organization_id == Organization.id, IS_GRANTED_PLAN))
    .outerjoin(Trial, Trial.organization_id == Organization.id)
    .where(among_those(Organization.id, "organizations"))
    .execution_options(populate_existing=True)
)


@dataclass
class OrganizationRows:
    """The rows that an organization's plan follows from, and its row of the plan table."""

    organization: Organization
    subscriptions: list[Subscription] = field(default_factory=list)
    """All subscriptions of the organization."""
    upcoming: list[UpcomingInvoice] = field(default_factory=list)
    """The charges that Stripe calculated ahead for these subscriptions."""
    invoices: dict[str, Invoice] = field(default_factory=dict)
    """The unpaid invoices, and the invoices that the merge changes, by id."""
    charges: dict[str, Charge] = field(default_factory=dict)
    """The refunded and disputed charges, by id."""
    changes: dict[str, PlanChange] = field(default_factory=dict)
    """The open change, and the changes that the observations name, by id."""
    plan_row: OrganizationPlan | None = None
    grant: Grant | None = None
    """The complimentary plan that has not been ended."""
    had_trial: bool = False
    """Whether the trial of the organization is recorded."""


def rank_plans(session: Session, plan_of_product: Mapping[str, str] | None) -> Plans:
    """Return the catalogue of the mirror, in the order of the deployment's own catalogue."""
    ranking, suspends_disputed = session.info[PLAN_RANKING], session.info[SUSPENDS_DISPUTED]
    return Plans(plan_of_product or {}, ranking, suspends_disputed=suspends_disputed)


def load_plans(session: Session) -> Plans:
    """Load the catalogue of the mirror, in the order of the deployment's own catalogue."""
    return rank_plans(session, session.scalar(select(PLAN_OF_PRODUCT)))


def load_organization_rows(
    session: Session, organizations: Iterable[Organization], seen: Iterable[Seen] = ()
) -> tuple[dict[str, OrganizationRows], dict[str, str]]:
    """Return the rows of these organizations by id, and the catalogue to derive their plans with.

    Rows that are locked stay locked. ``seen`` are the observed states, which may name a change.
    """
    found = {each.id: OrganizationRows(each) for each in organizations}
    plan_of_product: dict[str, str] = {}
    named = {change_id for each in seen if (change_id := find_reported_change_id(each)) is not None}
    parameters = {"organizations": list(found), "named": list(named)}
    for organization_id, row, subscription, upcoming, invoice, charge, change, grant, trial, catalog in session.execute(
        ORGANIZATION_ROWS, parameters
    ):
        rows = found[organization_id]
        rows.plan_row, rows.grant = row, grant
        rows.had_trial = trial is not None
        if subscription is not None and subscription not in rows.subscriptions:
            rows.subscriptions.append(subscription)
        if upcoming is not None:
            rows.upcoming.append(upcoming)
        if invoice is not None:
            rows.invoices[invoice.id] = invoice
        if charge is not None:
            rows.charges[charge.id] = charge
        if change is not None:
            rows.changes[change.id] = change
        plan_of_product = catalog or {}
    return found, plan_of_product
