"""Bring the plan table in step with the mirror.

For each organization: derive its plan, compare, write what changed, append to the history and close plan changes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Table, and_, func, or_, select
from sqlalchemy.orm import Session

from gateway.db import jobs
from gateway.db.models import (
    IS_OPEN,
    IS_UNPAID,
    OPEN_STATES,
    UNSETTLED,
    Base,
    Charge,
    Invoice,
    Json,
    Organization,
    OrganizationPlan,
    Plan,
    PlanChange,
    PlanHistory,
    Subscription,
    Trial,
    UpcomingInvoice,
)
from gateway.db.queries import among_those
from gateway.db.session import PLAN_RANKING, SUSPENDS_DISPUTED
from gateway.errors import PaymentAbandoned
from gateway.services.plan_table.attribution import Attribution, attribute_plan, find_reported_change_id
from gateway.services.plan_table.derive import PlanState, derive_plan_state, never_enrolled
from gateway.services.plan_table.selection import (
    UNMAPPED,
    Plans,
    has_plan,
    list_duplicates,
    select_current_subscription,
)
from gateway.services.plan_table.standing import Debt, find_debts
from gateway.services.plan_table.trials import defer_trial_jobs, record_trials, shows_trial
from gateway.stripe_api.snapshots import Seen

# Delay of the job that withdraws credits. The request that made the change has usually withdrawn them before.
WITHDRAW_AFTER = timedelta(seconds=20)
WRITTEN_MODELS: tuple[type[Base], ...] = (OrganizationPlan, PlanChange)
HISTORY = Base.metadata.tables[PlanHistory.__tablename__]

log = structlog.get_logger()


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
    had_trial: bool = False
    """Whether the trial of the organization is recorded."""


def update_plan_table(
    session: Session,
    affected: Mapping[str, Seen],
    rows_by_organization: Mapping[str, OrganizationRows],
    plans: Plans,
    now: datetime,
) -> Mapping[Table, Sequence[Json]]:
    """Bring the plan table in step for the affected organizations, and return the new rows of the history.

    ``affected`` maps an organization's id to the state that affects it. The caller has locked these organizations. The
    changed rows stay in the session, and ``mirror.merge.merge`` writes them together with the history's rows.
    """
    if not affected:
        return {}
    history = []
    for organization_id, seen in affected.items():
        rows = rows_by_organization[organization_id]
        for each in rows.subscriptions:
            each.had_plan = bool(each.had_plan) or has_plan(each, plans)
        state = derive_plan(rows, plans)
        before = PlanState.of_row(rows.plan_row) if rows.plan_row is not None else None
        if state != (before or never_enrolled(plans.floor)):
            attribution = attribute_plan(
                seen, rows.changes, select_current_subscription(rows.subscriptions, plans), before
            )
            row = rows.plan_row or create_row(session, organization_id)
            update_row(row, state, now)
            history.append(build_history_entry(row, before, state, attribution))
            if attribution.change_id is None and is_plan_changed(before, state):
                # Stripe prorates this change as if each invoice will be paid.
                arguments = {"organization_id": organization_id}
                jobs.defer(session, jobs.WITHDRAW_FOREIGN_CREDITS, arguments, at=now + WITHDRAW_AFTER)
        defer_trial_jobs(session, organization_id, before.status if before is not None else None, state.status)
        close_changes(session, rows, state, plans, now)
    unrecorded = (rows_by_organization[each] for each in affected if not rows_by_organization[each].had_trial)
    shown = [rows.organization.id for rows in unrecorded if any(map(shows_trial, rows.subscriptions))]
    record_trials(session, shown, "at_stripe", now)
    return {HISTORY: history}


def is_plan_changed(before: PlanState | None, after: PlanState) -> bool:
    """Return whether an enrolled organization got another plan or quantity."""
    return before is not None and (before.requested_plan, before.quantity) != (after.requested_plan, after.quantity)


def rank_plans(session: Session, plan_of_product: Mapping[str, str] | None) -> Plans:
    """Return the catalogue of the mirror, in the order of the deployment's own catalogue."""
    ranking, suspends_disputed = session.info[PLAN_RANKING], session.info[SUSPENDS_DISPUTED]
    return Plans(plan_of_product or {}, ranking, suspends_disputed=suspends_disputed)


def load_plans(session: Session) -> Plans:
    """Load the catalogue of the mirror, in the order of the deployment's own catalogue."""
    return rank_plans(session, session.scalar(select(PLAN_OF_PRODUCT)))


def derive_plan(rows: OrganizationRows, plans: Plans) -> PlanState:
    """Return the state that the plan table should have for an organization, derived from the mirror."""
    # Stripe ends the subscriptions of a deleted customer, but its events may not have arrived yet.
    living = () if rows.organization.deleted else rows.subscriptions
    current = PlanState.of_row(rows.plan_row) if rows.plan_row is not None else None
    return derive_plan_state(living, plans, rows.invoices.values(), rows.charges.values(), current)


def find_undecided_invoices(rows: OrganizationRows, plans: Plans) -> list[str]:
    """Return the ids of the unpaid invoices that only a lookup at Stripe can decide."""
    subscription = None if rows.organization.deleted else select_current_subscription(rows.subscriptions, plans)
    if subscription is None:
        return []
    debts = find_debts(subscription, rows.invoices.values())
    return [invoice_id for invoice_id, debt in debts.items() if debt is Debt.NOT_KNOWN]


def create_row(session: Session, organization_id: str) -> OrganizationPlan:
    """Create the plan table's row of an organization that has none."""
    row = OrganizationPlan(organization_id=organization_id, version=0)
    session.add(row)
    return row


def update_row(row: OrganizationPlan, state: PlanState, now: datetime) -> None:
    """Write an organization's new state to its row."""
    if state.requested_plan == UNMAPPED and row.requested_plan != UNMAPPED:
        # The organization pays for a product that the catalogue does not know, and gets nothing. A person must look.
        log.error("plan_unmapped", organization_id=row.organization_id, subscription_id=state.subscription_id)
    for column, value in vars(state).items():
        if getattr(row, column) != value:
            setattr(row, column, value)
    row.version += 1
    row.as_of = now


def build_history_entry(
    row: OrganizationPlan, before: PlanState | None, after: PlanState, attribution: Attribution
) -> Json:
    """Return the history's entry for the row's new version, as columns of ``PlanHistory``."""
    return {
        "organization_id": row.organization_id,
        "version": row.version,
        "actor_type": attribution.actor_type,
        "actor": attribution.actor,
        "change_id": attribution.change_id,
        "cause": attribution.cause,
        "before": before.to_json() if before else None,
        "after": after.to_json(),
        "recorded_at": row.as_of,
    }


def restore_row(session: Session, row: OrganizationPlan | None, entry: PlanHistory) -> None:
    """Write the state of ``entry``, the last of the history, to an organization's row. The caller has locked it."""
    if row is None:
        row = OrganizationPlan(organization_id=entry.organization_id)
        session.add(row)
    for column, value in vars(PlanState.of_json(entry.after)).items():
        setattr(row, column, value)
    row.version, row.as_of = entry.version, entry.recorded_at


def close_changes(session: Session, rows: OrganizationRows, state: PlanState, plans: Plans, now: datetime) -> None:
    """Close each open change that Stripe has carried out, or whose payment was abandoned.

    Every merge calls this for the affected organizations, and the first merge that shows the result closes the change.
    It may merge Stripe's answer, a webhook, a refresh, or what the completion job (``jobs.FINISH_CHANGE``, see
    ``plan_changes.execute``) found. A job (``jobs.CHECK_CHARGE``) then compares the charge with the quote in
    ``plan_changes.charge_check``. If an invoice was unpaid, another job (``jobs.WITHDRAW_CREDITS``) first withdraws the
    credits for time that was not paid, in ``plan_changes.unpaid_credits``.
    """
    subscription = select_current_subscription(rows.subscriptions, plans)
    if subscription is None:
        return
    for change in rows.changes.values():
        if change.state not in OPEN_STATES:
            continue
        # Either Stripe carried out this very change, whatever came after it. Or the organization got the wanted plan in
        # another way.
        # A suspended organization is on the floor plan, but its subscription still has the plan that it leaves.
        present, wanted = (state.plan, state.requested_plan, state.quantity), (change.to_plan,) * 2 + (change.quantity,)
        ends_all = change.to_plan == plans.floor
        is_fulfilled = present == wanted and not (ends_all and list_duplicates(rows.subscriptions, plans))
        if subscription.change_id == change.id or is_fulfilled:
            change.close("applied", now)
            if UNSETTLED in change.steps:
                jobs.defer(session, jobs.WITHDRAW_CREDITS, {"change_id": change.id}, at=now + WITHDRAW_AFTER)
            elif change.quoted is not None:
                jobs.defer(session, jobs.CHECK_CHARGE, {"change_id": change.id})
        elif change.state == "requires_action" and subscription.pending_until is None:
            change.close("abandoned", now, {"code": PaymentAbandoned.code, "detail": "The payment was not completed."})


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
    for organization_id, row, subscription, upcoming, invoice, charge, change, trial, catalog in session.execute(
        ORGANIZATION_ROWS, parameters
    ):
        rows = found[organization_id]
        rows.plan_row, rows.had_trial = row, trial is not None
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
