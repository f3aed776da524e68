"""Read the rows that an organization's plan follows from, and the plans of the catalogue."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import orjson
from sqlalchemy import Text, and_, bindparam, cast, exists, func, or_, select
from sqlalchemy.orm import Session

from gateway.db.models import (
    IS_OPEN,
    IS_UNPAID,
    Base,
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
from gateway.db.prepared import Prepared
from gateway.db.queries import among_those
from gateway.db.session import PLAN_RANKING, SUSPENDS_DISPUTED
from gateway.services.plan_table.attribution import find_reported_change_id
from gateway.services.plan_table.selection import Plans
from gateway.stripe_api.snapshots import Seen

IS_GRANTED_PLAN = and_(Grant.ended_at.is_(None), Grant.extends_trial.is_(False))
# The catalogue, product id -> plan. Other queries read it as one of their columns.
PLAN_OF_PRODUCT = select(func.json_object_agg(Plan.product_id, Plan.key)).where(Plan.key.is_not(None)).scalar_subquery()
# Few organizations have these rows, and some have many of both. Joined, each invoice would come with each charge.
HAS_DEBTS = exists().where(Invoice.organization_id == Organization.id, IS_UNPAID)
HAS_CHARGES = exists().where(Charge.organization_id == Organization.id)
DEBTS = Prepared(select(Invoice).where(among_those(Invoice.organization_id, "organizations"), IS_UNPAID))
CHARGES = Prepared(select(Charge).where(among_those(Charge.organization_id, "organizations")))
SELECT_ROWS = (
    select(
        OrganizationPlan,
        Subscription,
        UpcomingInvoice,
        PlanChange,
        Grant,
        Organization.id,
        Trial.reason,
        cast(PLAN_OF_PRODUCT, Text),  # as text, because it is read once and not with each row
        HAS_DEBTS,
        HAS_CHARGES,
    )
    .select_from(Organization)
    .outerjoin(OrganizationPlan, OrganizationPlan.organization_id == Organization.id)
    .outerjoin(Subscription, Subscription.organization_id == Organization.id)
    .outerjoin(UpcomingInvoice, UpcomingInvoice.subscription_id == Subscription.id)
    .outerjoin(
        PlanChange,
        and_(
            PlanChange.organization_id == Organization.id,
            or_(IS_OPEN, among_those(PlanChange.id, "named")),
        ),
    )
    .outerjoin(Grant, and_(Grant.organization_id == Organization.id, IS_GRANTED_PLAN))
    .outerjoin(Trial, Trial.organization_id == Organization.id)
)
# PostgreSQL estimates that an array has ten values. For a single organization, it therefore never keeps the plan of the
# statement with an array, and planning takes longer than execution.
ROWS_OF_ONE = Prepared(SELECT_ROWS.where(Organization.id == bindparam("organization")))
ROWS_OF_MANY = Prepared(SELECT_ROWS.where(among_those(Organization.id, "organizations")))


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

    def add(self, row: Subscription | Invoice | Charge) -> None:
        """Add a new subscription. Add an invoice or a charge, or replace the one with its id."""
        if isinstance(row, Subscription):
            self.subscriptions.append(row)
        elif isinstance(row, Invoice):
            self.invoices[row.id] = row
        else:
            self.charges[row.id] = row

    def list_written(self) -> list[Base]:
        """Return the rows apart from the mirror's, which a new plan or the end of a change writes."""
        return [*self.changes.values()] if self.plan_row is None else [self.plan_row, *self.changes.values()]


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

    They belong to no session, so the caller passes those that it changes to ``bulk.flush``. ``seen`` are the observed
    states, which may name a change.
    """
    found = {each.id: OrganizationRows(each) for each in organizations}
    named = {change_id for each in seen if (change_id := find_reported_change_id(each)) is not None}
    statement = ROWS_OF_ONE if len(found) == 1 else ROWS_OF_MANY
    parameters = {"organization": next(iter(found), None), "organizations": list(found), "named": list(named)}
    indebted, charged = set(), set()
    catalog: str | None = None
    for row in statement.load(session, parameters):
        *joined, organization_id, trial, catalog, has_debts, has_charges = row
        add_joined(found[organization_id], *joined)
        found[organization_id].had_trial = trial is not None
        if has_debts:
            indebted.add(organization_id)
        if has_charges:
            charged.add(organization_id)
    if indebted:
        for (invoice,) in DEBTS.load(session, {"organizations": list(indebted)}):
            found[invoice.organization_id].add(invoice)
    if charged:
        for (charge,) in CHARGES.load(session, {"organizations": list(charged)}):
            found[charge.organization_id].add(charge)
    return found, orjson.loads(catalog) if catalog is not None else {}


def add_joined(
    rows: OrganizationRows,
    plan_row: OrganizationPlan | None,
    subscription: Subscription | None,
    upcoming: UpcomingInvoice | None,
    change: PlanChange | None,
    grant: Grant | None,
) -> None:
    """Add the objects of one joined row. Each subscription comes once with each change."""
    rows.plan_row, rows.grant = plan_row, grant
    if subscription is not None and subscription not in rows.subscriptions:
        rows.add(subscription)
        if upcoming is not None:
            rows.upcoming.append(upcoming)
    if change is not None:
        rows.changes[change.id] = change
