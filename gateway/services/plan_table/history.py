"""The plan history: what an organization's plan was, who changed it, and why. Local; Stripe is not asked."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from sqlalchemy import select

from gateway.db.models import PlanHistory
from gateway.services.plan_table.derive import NEVER_ENROLLED, PlanState
from gateway.services.runtime import Caller, Gateway

# What the ids in ``cause`` begin with -> what they are ids of.
CAUSES = {"evt_": "event", "chg_": "change"}


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who."""

    type: str
    id: str | None


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Why: a change, an event, or that Stripe was looked at (``reconciliation``, with the name of the job)."""

    type: str
    id: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """The plan as it was from ``recorded_at`` on. Version 0 is before the first: Free, and nothing recorded."""

    version: int
    recorded_at: datetime | None
    actor: Actor | None
    cause: Cause | None
    plan: PlanState

    @classmethod
    def of_row(cls, row: PlanHistory) -> Self:
        """A row for people."""
        return cls(
            version=row.version,
            recorded_at=row.recorded_at,
            actor=Actor(type=row.actor_type, id=row.actor),
            cause=read_cause(row),
            plan=PlanState.of_json(row.after),
        )


@dataclass(frozen=True, kw_only=True)
class Page:
    """Entries, newest first."""

    data: list[Entry]
    has_more: bool


BEFORE_FIRST_ENTRY = Entry(version=0, recorded_at=None, actor=None, cause=None, plan=NEVER_ENROLLED)


def list_entries(gateway: Gateway, caller: Caller, *, limit: int, starting_after: int | None) -> Page:
    """The entries before version ``starting_after``, or the newest."""
    query = select(PlanHistory).where(PlanHistory.organization_id == caller.organization_id)
    if starting_after is not None:
        query = query.where(PlanHistory.version < starting_after)
    with gateway.database.transaction() as session:
        rows = session.scalars(query.order_by(PlanHistory.version.desc()).limit(limit + 1)).all()
    return Page(data=[Entry.of_row(row) for row in rows[:limit]], has_more=len(rows) > limit)


def find_entry_at(gateway: Gateway, caller: Caller, moment: datetime) -> Page:
    """The one entry that held at ``moment``, as this gateway knew it then: what the organization could use.

    By version and not by time alone: the clocks of two machines may disagree a little about which came first.
    """
    query = (
        select(PlanHistory)
        .where(PlanHistory.organization_id == caller.organization_id, PlanHistory.recorded_at <= moment)
        .order_by(PlanHistory.version.desc())
        .limit(1)
    )
    with gateway.database.transaction() as session:
        row = session.scalars(query).one_or_none()
    return Page(data=[Entry.of_row(row) if row is not None else BEFORE_FIRST_ENTRY], has_more=False)


def read_cause(row: PlanHistory) -> Cause:
    """The change if there was one, whoever told of it."""
    if row.change_id is not None:
        return Cause(type="change", id=row.change_id)
    return Cause(type=CAUSES.get(row.cause[:4], "reconciliation"), id=row.cause)
