"""Describe the entries of the plan history, and the reasons of cancellations, to the receivers of notifications."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain

from sqlalchemy import Table
from sqlalchemy.orm import Session

from gateway.db.models import Base, PlanChange, PlanHistory
from gateway.json_types import Json
from gateway.receivers import CANCELLATION
from gateway.services.notifications.outbox import NOTIFICATIONS, Fact, build_rows, to_text
from gateway.services.plan_table.attribution import ADOPTED
from gateway.services.plan_table.derive import PlanState, never_enrolled
from gateway.stripe_api.snapshots import TRIALING

HISTORY = Base.metadata.tables[PlanHistory.__tablename__]
SHOWN = ("plan", "requested_plan", "quantity", "status", "standing", "current_period_end", "cancel_at")
PLAN = ("plan", "requested_plan", "quantity")


def build_written_rows(
    session: Session, history: Sequence[Json], applied: Iterable[PlanChange], floor: str, now: datetime
) -> dict[Table, Sequence[Json]]:
    """Return the rows that record new plans: the entries of the history, and the notifications of them.

    ``applied`` are the changes that Stripe has carried out.
    """
    entries = (fact for entry in history for fact in describe_entry(entry, floor))
    reasons = (describe_reason(change) for change in applied if change.cancellation is not None)
    return {HISTORY: history, NOTIFICATIONS: build_rows(session, chain(entries, reasons), now)}


def describe_reason(change: PlanChange) -> Fact:
    """Return why an organization cancelled its plan, for the sales team."""
    reason = change.cancellation or {}
    data = {
        "organization_id": change.organization_id,
        "change_id": change.id,
        "plan": change.from_plan,
        "feedback": reason.get("feedback"),
        "comment": reason.get("comment"),
    }
    return Fact(change.organization_id, CANCELLATION, data)


def describe_entry(entry: Json, floor: str) -> Iterator[Fact]:
    """Yield the facts that an entry of the plan history shows. An adoption shows none, because nothing changed."""
    if entry["cause"] == ADOPTED:
        return
    before, after = show_state(entry["before"] or never_enrolled(floor).to_json()), show_state(entry["after"])
    data = {
        "organization_id": entry["organization_id"],
        "version": entry["version"],
        "actor_type": entry["actor_type"],
        "change_id": entry["change_id"],
        "before": before,
        "after": after,
    }
    for fact_type in find_types(before, after):
        yield Fact(entry["organization_id"], fact_type, data)


def find_types(before: Json, after: Json) -> Iterator[str]:
    """Yield the types of the facts that a change of the plan state shows."""
    if differ(before, after, PLAN):
        yield "plan.changed"
    if differ(before, after, ["standing"]):
        yield "standing.changed"
    if before["status"] != TRIALING == after["status"]:
        yield "trial.started"
    if before["status"] == TRIALING != after["status"]:
        yield "trial.ended"


def differ(before: Json, after: Json, names: Iterable[str]) -> bool:
    """Return whether the states differ in one of these fields."""
    return any(before[name] != after[name] for name in names)


def show_state(state: Json) -> Json:
    """Return the part of a state of the history that a receiver sees."""
    shown = PlanState.of_json(state)
    return to_text((name, getattr(shown, name)) for name in SHOWN)
