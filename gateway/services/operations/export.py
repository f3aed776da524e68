"""Export everything that the database keeps about an organization."""

from collections.abc import Iterator

from sqlalchemy import RowMapping, Table, select

from gateway.db.models import Base, Json, Organization, WebhookEvent
from gateway.db.queries import among
from gateway.errors import NotFound
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
    """Yield each row about the organization with the name of its table, and then the events about its objects.

    All rows are of one moment. Secrets are left out. Raise NotFound.
    """
    with gateway.database.transaction() as session:
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        organization = session.get(Organization, organization_id)
        if organization is None:
            raise NotFound(f"There is no organization {organization_id}.")
        objects = [organization.stripe_customer_id or ""]
        for table in list_tables():
            column = table.c.id if table.name == ORGANIZATIONS else table.c.organization_id
            rows = session.execute(
                select(table).where(column == organization_id).order_by(*table.primary_key.columns),
                execution_options={"yield_per": BATCH},
            )
            for row in rows.mappings():
                objects += [str(row["id"])] if "id" in row else []
                yield {"table": table.name, **export_row(row)}
        events = select(WebhookEvent.__table__).where(among(WebhookEvent.object_id, objects))
        for row in session.execute(events, execution_options={"yield_per": BATCH}).mappings():
            yield {"table": EVENTS, **export_row(row)}


def list_tables() -> list[Table]:
    """Return the tables whose rows belong to an organization, in the order of their references."""
    return [each for each in Base.metadata.sorted_tables if each.name not in {*OF_NO_ORGANIZATION, EVENTS}]


def export_row(row: RowMapping) -> Json:
    """Return a row without its secrets, and with a payload as JSON."""
    found = {name: value for name, value in row.items() if name not in SECRETS}
    if isinstance(payload := found.get("payload"), bytes):
        found["payload"] = json_text.loads(payload)
    return found
