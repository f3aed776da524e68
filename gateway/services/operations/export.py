"""Export everything that the database keeps about an organization."""

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Column, ColumnElement, RowMapping, Table, or_, select, text

from gateway.db.models import Base, Organization, WebhookEvent
from gateway.db.queries import among
from gateway.errors import NotFound
from gateway.json_types import Json
from gateway.services.operations.inspection import find_jobs
from gateway.services.runtime import Gateway
from gateway.stripe_api import json_text

ORGANIZATIONS, EVENTS = Organization.__tablename__, WebhookEvent.__tablename__
# These tables name no organization. The counts of the rate limits do, and expire within a day.
OF_NO_ORGANIZATION = frozenset(
    {
        *("checks", "plans", "prices", "rate_limit_counts", "receiver_states", "reconciliations", "seen_at_stripe"),
        "stripe_budget",
    }
)
SECRETS = frozenset({"client_secret"})
BATCH = 500


def export_organization(gateway: Gateway, organization_id: str) -> Iterator[Json]:
    """Yield each row about the organization with the name of its table, and then its unfinished jobs and its events.

    All rows are of one moment. Secrets are left out. Raise NotFound.
    """
    with gateway.database.transaction() as session:
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        session.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))  # the reader may wait
        organization = session.get(Organization, organization_id)
        if organization is None:
            raise NotFound(f"There is no organization {organization_id}.")
        objects = [organization.stripe_customer_id or ""]
        for table in list_tables():
            rows = session.execute(
                select(table).where(find_owner(table) == organization_id).order_by(*table.primary_key.columns),
                execution_options={"yield_per": BATCH},
            )
            for row in rows.mappings():
                objects += [str(row["id"])] if "id" in row else []
                yield {"table": table.name, **export_row(row)}
        for job in find_jobs(session, [organization_id, *objects]):
            yield {"table": "procrastinate_jobs", **job}
        events = select(WebhookEvent.__table__).where(is_about(objects, organization.stripe_customer_id))
        events = events.order_by(WebhookEvent.id)
        for row in session.execute(events, execution_options={"yield_per": BATCH}).mappings():
            yield {"table": EVENTS, **export_row(row)}


def list_tables() -> list[Table]:
    """Return the tables whose rows belong to an organization, in the order of their references."""
    return [each for each in Base.metadata.sorted_tables if each.name not in {*OF_NO_ORGANIZATION, EVENTS}]


def find_owner(table: Table) -> Column[Any]:
    """Return the column with the id of the organization that a row belongs to."""
    return table.c.id if table.name == ORGANIZATIONS else table.c.organization_id


def is_about(object_ids: Iterable[str], customer_id: str | None) -> ColumnElement[bool]:
    """Return the condition of the events about these objects, and of those whose payload names the customer.

    The mirror has no row for many of the objects that events show, such as payments. No index finds a customer in the
    payloads, so the query reads all of them. Only an operator's command may do that.
    """
    condition = among(WebhookEvent.object_id, object_ids)
    if customer_id is None:
        return condition
    naming = text("position(CAST(:customer AS bytea) IN payload) > 0")
    return or_(condition, naming.bindparams(customer=f'"{customer_id}"'.encode()))


def export_row(row: RowMapping) -> Json:
    """Return a row without its secrets, and with a payload as JSON."""
    found = {name: value for name, value in row.items() if name not in SECRETS}
    if isinstance(payload := found.get("payload"), bytes):
        found["payload"] = json_text.loads(payload)
    return found
