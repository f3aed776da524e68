"""Read the plan history: what an organization's plan was, who changed it, and why.

It is read from our database, without a call to Stripe.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from sqlalchemy import select

from gateway.db.models import PlanHistory
from gateway.services.plan_table.attribution import ADOPTED, CHANGE_ID_PREFIX, GRANT_ID_PREFIX, USER
from gateway.services.plan_table.derive import PlanState, never_enrolled
from gateway.services.runtime import Caller, Gateway

# The prefix of an id in ``cause`` -> the kind of thing that it is the id of.
CAUSES = {"evt_": "event", CHANGE_ID_PREFIX: "change", GRANT_ID_PREFIX: "grant", ADOPTED: "adoption"}


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who changed the plan. Only a user is named, because an operator's name concerns no customer."""

    type: str
    id: str | None


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Why the plan changed: a change, an event, a grant, an adoption, or a look at Stripe.

    A look at Stripe has the type ``reconciliation`` and the name of the job.
    """

    type: str
    id: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """The plan as it was from ``recorded_at`` on. Version 0 is the floor plan before the first recorded entry."""

    version: int
    recorded_at: datetime | None
    actor: Actor | None
    cause: Cause | None
    plan: PlanState

    @classmethod
    def of_row(cls, row: PlanHistory) -> Self:
        """Return the entry that a row holds."""
        return cls(
            version=row.version,
            recorded_at=row.recorded_at,
            actor=Actor(type=row.actor_type, id=row.actor if row.actor_type == USER else None),
            cause=read_cause(row),
            plan=PlanState.of_json(row.after),
        )


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of entries, newest first."""

    data: list[Entry]
    has_more: bool


def list_entries(gateway: Gateway, caller: Caller, *, limit: int, starting_after: int | None) -> Page:
    """Return the entries before version ``starting_after``, or the newest entries."""
    query = select(PlanHistory).where(PlanHistory.organization_id == caller.organization_id)
    if starting_after is not None:
        query = query.where(PlanHistory.version < starting_after)
    with gateway.database.reading() as session:
        rows = session.scalars(query.order_by(PlanHistory.version.desc()).limit(limit + 1)).all()
    return Page(data=[Entry.of_row(row) for row in rows[:limit]], has_more=len(rows) > limit)


def find_entry_at(gateway: Gateway, caller: Caller, moment: datetime) -> Page:
    """Return a page with the entry that was valid at ``moment``: the plan that the organization could use then.

    Order by version and not by time, because the clocks of two machines may disagree about which entry came first.
    """
    query = (
        select(PlanHistory)
        .where(PlanHistory.organization_id == caller.organization_id, PlanHistory.recorded_at <= moment)
        .order_by(PlanHistory.version.desc())
        .limit(1)
    )
    with gateway.database.reading() as session:
        row = session.scalars(query).one_or_none()
    before_first = Entry(
        version=0, recorded_at=None, actor=None, cause=None, plan=never_enrolled(gateway.catalog.floor.key)
    )
    found = Entry.of_row(row) if row is not None else before_first
    plan = found.plan.at(moment, gateway.catalog.floor.key)
    return Page(data=[replace(found, plan=plan)], has_more=False)


def read_cause(row: PlanHistory) -> Cause:
    """Return the change that caused the entry if there was one, otherwise the event or the job that showed it."""
    if row.change_id is not None:
        return Cause(type="change", id=row.change_id)
    found = (kind for prefix, kind in CAUSES.items() if row.cause.startswith(prefix))
    return Cause(type=next(found, "reconciliation"), id=row.cause)
