"""Check that the plan table follows from its history, and repair it where it does not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.db.models import Organization, OrganizationPlan, PlanHistory
from gateway.db.queries import among
from gateway.json_types import Json
from gateway.services.plan_table.derive import PlanState
from gateway.services.plan_table.writer import restore_row
from gateway.services.runtime import Gateway

BATCH = 500


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One error in an organization's row, or in its history."""

    organization_id: str
    text: str
    repaired: bool = False


def rebuild_plan_table(gateway: Gateway, *, write: bool) -> Iterator[Finding]:
    """Compare the plan table with its history, one batch per transaction, and repair it if ``write``.

    A gap in the history is reported but not repaired, because nothing else holds what is missing.
    """
    # Lock the organizations as the merge does and in its order, so that no merge writes a plan during the comparison.
    query = select(Organization.id).order_by(Organization.id).limit(BATCH).with_for_update()
    after = ""
    while True:
        with gateway.database.transaction() as session:
            ids = session.scalars(query.where(Organization.id > after)).all()
            found = list(check_organizations(session, ids, write=write))
        yield from found
        if len(ids) < BATCH:
            return
        after = ids[-1]


def check_organizations(session: Session, ids: Sequence[str], *, write: bool) -> Iterator[Finding]:
    """Check the history of these organizations from its beginning, and compare its end with the plan table."""
    last: dict[str, PlanHistory] = {}
    histories = select(PlanHistory).where(among(PlanHistory.organization_id, ids))
    for entry in session.scalars(histories.order_by(PlanHistory.organization_id, PlanHistory.version)):
        yield from check_sequence(last.get(entry.organization_id), entry)
        last[entry.organization_id] = entry
    rows = {
        row.organization_id: row
        for row in session.scalars(select(OrganizationPlan).where(among(OrganizationPlan.organization_id, ids)))
    }
    for organization_id in ids:
        yield from check_row(
            session, organization_id, rows.get(organization_id), last.get(organization_id), write=write
        )


def check_sequence(earlier: PlanHistory | None, entry: PlanHistory) -> Iterator[Finding]:
    """Yield an error if an entry does not continue the one before it."""
    version = earlier.version + 1 if earlier is not None else 1
    if entry.version != version:
        yield Finding(
            organization_id=entry.organization_id, text=f"history: version {version} is missing before {entry.version}"
        )
    elif read_state(entry.before) != (read_state(earlier.after) if earlier is not None else None):
        text = f"history: version {entry.version} does not begin with the state in which the one before it ends"
        yield Finding(organization_id=entry.organization_id, text=text)


def read_state(state: Json | None) -> PlanState | None:
    """Return a state of the history. Two releases may write the same state with other fields."""
    return PlanState.of_json(state) if state is not None else None


def check_row(
    session: Session, organization_id: str, row: OrganizationPlan | None, entry: PlanHistory | None, *, write: bool
) -> Iterator[Finding]:
    """Yield an error if a row differs from the last entry, is missing, or has no entry. Repair it if ``write``."""
    if entry is None:
        if row is not None:
            yield Finding(organization_id=organization_id, text="the row has no history to rebuild it from")
        return
    if not (texts := list(describe_differences(row, entry))):
        return
    if write:
        restore_row(session, row, entry)
    yield Finding(organization_id=organization_id, text="; ".join(texts), repaired=write)


def describe_differences(row: OrganizationPlan | None, entry: PlanHistory) -> Iterator[str]:
    """Yield each field that differs, as ``plan: basic, but team in its history``."""
    if row is None:
        yield "the row is missing"
        return
    actual = vars(PlanState.of_row(row)) | {"version": row.version, "as_of": row.as_of}
    recorded = vars(PlanState.of_json(entry.after))
    expected = {name: recorded[name] for name in recorded.keys() & entry.after.keys()}
    expected |= {"version": entry.version, "as_of": entry.recorded_at}
    for name in sorted(expected):
        if actual[name] != expected[name]:
            yield f"{name}: {actual[name]}, but {expected[name]} in its history"
