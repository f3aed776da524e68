"""From the mirror to the plan table: derive, compare, write what changed, append to the history, close changes."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.db import bulk, jobs
from gateway.db.models import (
    OPEN_STATES,
    Invoice,
    Organization,
    OrganizationPlan,
    Plan,
    PlanChange,
    PlanHistory,
    Subscription,
)
from gateway.db.queries import among
from gateway.errors import PaymentAbandoned
from gateway.services.attribution import Reason, reasons
from gateway.services.plan_table import (
    EXCEPTIONS,
    NEVER_ENROLLED,
    UNMAPPED,
    Payment,
    PlanState,
    current_subscription,
    plan_state,
)
from gateway.stripe_api.snapshots import Seen

log = structlog.get_logger()


def write(session: Session, touched: Mapping[str, Seen], now: datetime) -> None:
    """Bring the plan table in step for the organizations in ``touched`` (id -> why), which the caller has locked."""
    if not touched:
        return
    subscriptions = subscriptions_of(session, touched)
    states = derived(session, touched, subscriptions)
    rows = {
        row.organization_id: row
        for row in session.scalars(
            select(OrganizationPlan)
            .where(among(OrganizationPlan.organization_id, touched))
            .execution_options(populate_existing=True)
        )
    }
    changed = [each for each in states if states[each] != state_of(rows.get(each))]
    why = reasons(session, {each: touched[each] for each in changed}, subscriptions, rows)
    for each in changed:
        write_one(session, rows.get(each), each, states[each], why[each], now)
    bulk.flush(session, OrganizationPlan, PlanHistory)
    close_changes(session, states, subscriptions, now)


def derived(
    session: Session, organization_ids: Collection[str], subscriptions: Mapping[str, list[Subscription]]
) -> dict[str, PlanState]:
    """What the plan table is to say of each organization: a function of the mirror."""
    organizations = session.scalars(select(Organization).where(among(Organization.id, organization_ids))).all()
    plans = plan_of_product(session)
    payments = payments_of(session, subscriptions)
    return {each.id: plan_state(each, subscriptions[each.id], plans, payments) for each in organizations}


def payments_of(session: Session, subscriptions: Mapping[str, list[Subscription]]) -> dict[str, Payment]:
    """The state of the latest invoices, by their ids; only of the subscriptions whose plan it decides."""
    decided_by_it = {status for status, _ in EXCEPTIONS}
    concerned = [each for theirs in subscriptions.values() for each in theirs if each.status in decided_by_it]
    if not concerned:
        return {}
    ids = {each.latest_invoice_id for each in concerned if each.latest_invoice_id is not None}
    query = select(Invoice.id, Invoice.status, Invoice.next_payment_attempt).where(among(Invoice.id, ids))
    return {each.id: Payment.of_invoice(each.status, each.next_payment_attempt) for each in session.execute(query)}


def state_of(row: OrganizationPlan | None) -> PlanState:
    """What the plan table says of an organization; that it was never enrolled, if nothing."""
    return PlanState.of_row(row) if row is not None else NEVER_ENROLLED


def write_one(
    session: Session, row: OrganizationPlan | None, organization_id: str, state: PlanState, why: Reason, now: datetime
) -> None:
    """Write one organization's new state and its history."""
    before = PlanState.of_row(row) if row is not None else None
    if state.requested_plan == UNMAPPED and state_of(row).requested_plan != UNMAPPED:
        # Somebody pays for what the catalogue does not know, and is given nothing for it: a person must look.
        log.error("plan_unmapped", organization_id=organization_id, subscription_id=state.subscription_id)
    if row is None:
        row = OrganizationPlan(organization_id=organization_id, version=0)
        session.add(row)
    for column, value in vars(state).items():
        if getattr(row, column) != value:
            setattr(row, column, value)
    row.version += 1
    row.as_of = now
    session.add(
        PlanHistory(
            organization_id=organization_id,
            version=row.version,
            **{name: getattr(why, name) for name in ("actor_type", "actor", "change_id", "cause")},
            before=before.to_json() if before else None,
            after=state.to_json(),
            recorded_at=now,
        )
    )


def restore(session: Session, row: OrganizationPlan | None, entry: PlanHistory) -> None:
    """Make an organization's row what ``entry``, the last of its history, says. The caller has locked it."""
    if row is None:
        row = OrganizationPlan(organization_id=entry.organization_id)
        session.add(row)
    for column, value in vars(PlanState.of_json(entry.after)).items():
        setattr(row, column, value)
    row.version, row.as_of = entry.version, entry.recorded_at


def close_changes(
    session: Session,
    states: Mapping[str, PlanState],
    subscriptions: Mapping[str, list[Subscription]],
    now: datetime,
) -> None:
    """End the changes that Stripe has carried out: whoever hears of it first (answer, webhook or refresh) closes it."""
    open_changes = select(PlanChange).where(
        among(PlanChange.organization_id, states), PlanChange.state.in_(OPEN_STATES)
    )
    for change in session.scalars(open_changes.with_for_update().execution_options(populate_existing=True)):
        subscription = current_subscription(subscriptions[change.organization_id])
        state = states[change.organization_id]
        if subscription is None:
            continue
        # Either Stripe carried this very change out (whatever came after it), or the organization is where it wants
        # to be by another way.
        reached = (state.plan, state.quantity) == (change.to_plan, change.quantity)
        if subscription.change_id == change.id or reached:
            change.close("applied", now)
            if change.quoted is not None:
                jobs.defer(session, jobs.CHECK_CHARGE, {"change_id": change.id})
        elif change.state == "requires_action" and subscription.pending_until is None:
            change.close("abandoned", now, {"code": PaymentAbandoned.code, "detail": "The payment was not completed."})


def subscriptions_of(session: Session, organization_ids: Collection[str]) -> dict[str, list[Subscription]]:
    """The subscriptions of each organization, an empty list where there are none."""
    found: defaultdict[str, list[Subscription]] = defaultdict(list)
    query = select(Subscription).where(among(Subscription.organization_id, organization_ids))
    for each in session.scalars(query):
        found[each.organization_id].append(each)
    return found


def plan_of_product(session: Session) -> dict[str, str]:
    """The catalogue as the projection needs it: product id -> plan."""
    rows: Iterable[Plan] = session.scalars(select(Plan).where(Plan.key.is_not(None)))
    return {row.product_id: row.key for row in rows if row.key is not None}
