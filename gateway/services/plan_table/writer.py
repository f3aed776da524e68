"""Bring the plan table in step with the mirror.

For each organization: derive its plan, compare, write what changed, append to the history and close plan changes.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Table
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import get_history

from gateway.db import bulk, jobs
from gateway.db.models import (
    FINAL_USAGE,
    LATEST_INVOICE,
    OPEN_STATES,
    UNSETTLED,
    Grant,
    Organization,
    OrganizationPlan,
    PlanChange,
    PlanHistory,
    Subscription,
)
from gateway.errors import PaymentAbandoned
from gateway.json_types import Json
from gateway.services.plan_table.announcements import build_written_rows
from gateway.services.plan_table.attribution import Attribution, attribute_plan, find_named_grant_id
from gateway.services.plan_table.derive import (
    PlanState,
    add_grant,
    derive_plan_state,
    leave_plan,
    never_enrolled,
)
from gateway.services.plan_table.foreign_ends import record_foreign_end
from gateway.services.plan_table.late_starts import find_late, find_late_start
from gateway.services.plan_table.rows import OrganizationRows, load_organization_rows, rank_plans
from gateway.services.plan_table.selection import (
    UNMAPPED,
    Plans,
    has_plan,
    list_duplicates,
    select_base_item,
    select_current_subscription,
    stands_for_plan,
)
from gateway.services.plan_table.standing import OWES_DEBTS, UNDECIDED, read_debt
from gateway.services.plan_table.trials import list_trial_jobs, record_trials, shows_trial
from gateway.services.spend_checks import SPEND_CHECKS, build_checks
from gateway.stripe_api.snapshots import ENDED, Seen

# Delay of the job that withdraws credits. The request that made the change has usually withdrawn them before.
WITHDRAW_AFTER = timedelta(seconds=20)
# Delay of the job that bills earlier usage. A request that began before the merge may still store some as not billed.
RECOUNT_AFTER = timedelta(minutes=2)

log = structlog.get_logger()


def update_plan_table(
    session: Session,
    affected: Mapping[str, Seen],
    rows_by_organization: Mapping[str, OrganizationRows],
    plans: Plans,
    now: datetime,
) -> tuple[Mapping[Table, Sequence[Json]], Sequence[jobs.Wanted]]:
    """Bring the plan table in step for the affected organizations. Return the new rows of other tables, and jobs.

    ``affected`` maps an organization's id to the state that affects it. The caller has locked these organizations. Then
    ``mirror.merge.merge`` writes the changed rows together with the returned ones.
    """
    if not affected:
        return {}, ()
    history: list[Json] = []
    changed: list[str] = []
    applied: list[PlanChange] = []
    wanted: list[jobs.Wanted] = []
    for organization_id, seen in affected.items():
        rows = rows_by_organization[organization_id]
        for each in rows.subscriptions:
            if not each.had_plan and has_plan(each, plans):  # assigning what it has already would write the row
                each.had_plan = True
        state = derive_plan(rows, plans)
        before = PlanState.of_row(rows.plan_row) if rows.plan_row is not None else None
        if state != (before or never_enrolled(plans.floor)):
            current = select_current_subscription(rows.subscriptions, plans)
            attribution = attribute_plan(seen, rows.changes, current, before, find_named_grant(session, seen))
            entry = record_state(session, rows, state, attribution, plans.floor, now)
            history.append(entry)
            if is_plan_changed(before, state):
                changed.append(organization_id)
                change = rows.changes.get(attribution.change_id or "")
                if change is None or change.state == "abandoned":  # no change of ours will settle what follows
                    # Stripe prorates this change as if each invoice will be paid.
                    wanted.append(jobs.withdrawal_job(organization_id, at=now + WITHDRAW_AFTER))
                    if record_foreign_end(session, rows, before, state, plans.floor, seen.as_of):
                        entry["began_at"] = find_late(seen.as_of, now)
        elif is_duplicate_changed(rows.subscriptions, plans):
            wanted.append(jobs.withdrawal_job(organization_id, at=now + WITHDRAW_AFTER))
        wanted += list_trial_jobs(organization_id, before.status if before is not None else None, state.status)
        applied += close_changes(session, rows, state, plans, now)
    unrecorded = (rows_by_organization[each] for each in affected if not rows_by_organization[each].had_trial)
    shown = [rows.organization.id for rows in unrecorded if any(map(shows_trial, rows.subscriptions))]
    record_trials(session, shown, "at_stripe", now)
    wanted += [
        jobs.recount_job(each["organization_id"], each["version"], at=now + RECOUNT_AFTER)
        for each in history
        if each["began_at"] is not None and each["after"]["requested_plan"] != plans.floor
    ]
    written = build_written_rows(session, history, applied, plans.floor, now)
    return {**written, SPEND_CHECKS: build_checks(changed, now)}, wanted


def find_named_grant(session: Session, seen: Seen) -> Grant | None:
    """Return the longer trial that a state names. Only the event or the answer of its own call names one."""
    grant_id = find_named_grant_id(seen)
    return session.get(Grant, grant_id) if grant_id is not None else None


def record_state(
    session: Session, rows: OrganizationRows, state: PlanState, attribution: Attribution, floor: str, now: datetime
) -> Json:
    """Write an organization's new state to its row, and return the history's entry for it."""
    began_at = find_late_start(session, rows, state, floor, now)
    before = PlanState.of_row(rows.plan_row) if rows.plan_row is not None else None
    if rows.plan_row is None:
        rows.plan_row = OrganizationPlan(organization_id=rows.organization.id, version=0)
    update_row(rows.plan_row, state, now)
    return build_history_entry(rows.plan_row, before, state, attribution) | {"began_at": began_at}


def is_plan_changed(before: PlanState | None, after: PlanState) -> bool:
    """Return whether an enrolled organization got another plan or quantity."""
    return before is not None and (before.requested_plan, before.quantity) != (after.requested_plan, after.quantity)


def is_duplicate_changed(subscriptions: Sequence[Subscription], plans: Plans) -> bool:
    """Return whether a subscription to a plan beside the current one has just ended or got other items.

    Stripe may credit its unused time, although the organization's plan stays the same.
    """
    if len(subscriptions) == 1:  # nearly always
        return False
    current = select_current_subscription(subscriptions, plans)
    others = [each for each in subscriptions if each is not current and stands_for_plan(each, plans)]
    return any(
        get_history(each, "items").deleted or (each.status in ENDED and get_history(each, "status").deleted)
        for each in others
    )


def derive_again(session: Session, organization: Organization, attribution: Attribution, now: datetime) -> None:
    """Derive the plan after a change of ours that Stripe has not made, and write it to plan table and history.

    The caller has locked the catalogue and the organization, in this order. It must not alter the rows afterwards.
    """
    accounts, plan_of_product = load_organization_rows(session, [organization])
    rows, plans = accounts[organization.id], rank_plans(session, plan_of_product)
    state = derive_plan(rows, plans)
    if rows.plan_row is not None and state == PlanState.of_row(rows.plan_row):
        return
    entry = record_state(session, rows, state, attribution, plans.floor, now)
    bulk.flush(session, rows.list_written(), build_written_rows(session, [entry], [], plans.floor, now))


def derive_plan(rows: OrganizationRows, plans: Plans) -> PlanState:
    """Return the state that the plan table should have for an organization, derived from the mirror."""
    # Stripe ends the subscriptions of a deleted customer, but its events may not have arrived yet.
    living = () if rows.organization.deleted else rows.subscriptions
    current = PlanState.of_row(rows.plan_row) if rows.plan_row is not None else None
    state = derive_plan_state(living, plans, rows.invoices.values(), rows.charges.values(), current)
    made = {each.change_id for each in rows.subscriptions}
    state = leave_plan(state, [each for each in rows.changes.values() if each.id not in made], plans.floor)
    return add_grant(state, rows.grant, plans)


def find_undecided_invoices(rows: OrganizationRows, plans: Plans) -> list[str]:
    """Return the ids of the unpaid invoices of plans that only a lookup at Stripe can decide."""
    if not rows.invoices or rows.organization.deleted:
        return []
    return [
        invoice.id
        for subscription in rows.subscriptions
        if subscription.status in OWES_DEBTS and stands_for_plan(subscription, plans)
        for invoice in rows.invoices.values()
        if invoice.subscription_id == subscription.id and read_debt(subscription, invoice) in UNDECIDED
    ]


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


def note_renewal(rows: OrganizationRows, change: PlanChange, subscription: Subscription) -> None:
    """Note the invoice of a renewal that came between the change's parameters and its call, so nobody has paid it.

    An invoice for a change is no renewal.
    """
    latest = subscription.latest_invoice_id
    invoice = rows.invoices.get(latest or "")
    is_own = invoice is not None and invoice.billing_reason == "subscription_update"
    if latest is not None and latest != change.steps.get(LATEST_INVOICE, latest) and not is_own:
        change.steps = {**change.steps, UNSETTLED: [*change.steps.get(UNSETTLED, ()), latest]}


def close_changes(
    session: Session, rows: OrganizationRows, state: PlanState, plans: Plans, now: datetime
) -> list[PlanChange]:
    """Close each open change whose payment was abandoned, or that Stripe has carried out. Return the latter.

    Every merge calls this for the affected organizations, and the first merge that shows the result closes the change.
    It may merge Stripe's answer, a webhook, a refresh, or what the completion job (``jobs.FINISH_CHANGE``, see
    ``plan_changes.execute``) found. A job (``jobs.CHECK_CHARGE``) then compares the charge with the quote in
    ``plan_changes.charge_check``. If an invoice was unpaid, another job (``jobs.WITHDRAW_CREDITS``) first withdraws the
    credits for time that was not paid, in ``plan_changes.unpaid_credits``. A third one (``jobs.BILL_USAGE``) bills what
    Stripe had not counted of the usage of a plan that ended, in ``plan_changes.unbilled_usage``.
    """
    in_flight = [each for each in rows.changes.values() if each.state in OPEN_STATES]
    if not in_flight or (subscription := select_current_subscription(rows.subscriptions, plans)) is None:
        return []
    applied: list[PlanChange] = []
    for change in in_flight:
        # Either Stripe carried out this very change, whatever came after it. Or the organization got the wanted plan in
        # another way.
        # A suspended organization is on the floor plan, but its subscription still has the plan that it leaves.
        # A grant does not count, because a change concerns the subscription alone.
        present = (state.find_subscribed_plan(plans.floor), state.requested_plan, state.quantity)
        wanted = (change.to_plan, change.to_plan, change.quantity)
        ends_all = change.to_plan == plans.floor
        interval = select_base_item(subscription, plans)[1].get("interval")
        is_fulfilled = (
            present == wanted
            and change.interval in (None, interval)
            and not (ends_all and list_duplicates(rows.subscriptions, plans))
        )
        if subscription.change_id == change.id or is_fulfilled:
            change.close("applied", now)
            applied.append(change)
            note_renewal(rows, change, subscription)
            if UNSETTLED in change.steps:
                jobs.defer(session, jobs.WITHDRAW_CREDITS, {"change_id": change.id}, at=now + WITHDRAW_AFTER)
            elif change.quoted is not None:
                jobs.defer(session, jobs.CHECK_CHARGE, {"change_id": change.id})
            if FINAL_USAGE in change.steps:
                jobs.defer_usage_bill(session, change.id)
        elif change.state == "requires_action" and subscription.pending_until is None:
            change.close("abandoned", now, {"code": PaymentAbandoned.code, "detail": "The payment was not completed."})
        else:
            continue
        # The transaction can still fail. Its failure is then logged too, and another merge closes the change.
        log.info("change_closed", change_id=change.id, organization_id=change.organization_id, state=change.state)
    return applied
