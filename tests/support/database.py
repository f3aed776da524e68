"""Reads, changes and clears the tables of the database under test."""

from functools import cache
from typing import Any

from sqlalchemy import text, update
from sqlalchemy.orm import Session

from gateway.db.models import Base, Invoice, Organization, PaymentMethod, Plan, Subscription, WebhookEvent
from gateway.db.session import Database
from gateway.services.runtime import Gateway
from tests.support.world import World

PROCRASTINATE = ("procrastinate_events", "procrastinate_periodic_defers", "procrastinate_jobs", "procrastinate_workers")
# TRUNCATE creates new files for each table and index, which takes twenty times as long for a few rows.
# The lock keeps out a late wake-up of the test before, whose job could be one of those that are restored.
DELETE = "; ".join(
    [
        "LOCK TABLE procrastinate_jobs IN SHARE ROW EXCLUSIVE MODE",
        *(f"DELETE FROM {each}" for each in (*Base.metadata.tables, *PROCRASTINATE)),  # noqa: S608 - names of ours
    ]
)


class KeptDatabase(Database):
    """A database that stays open for the next test.

    It keeps its compiled statements, which take a fifth of a second to compile, and its connections with the plans of
    PostgreSQL.
    """

    def close(self) -> None:
        """Keep the connections."""


KEPT: set[Database] = set()
keep_database = cache(KeptDatabase)


def reopen_database(url: str, **options: Any) -> Database:
    """Return the same Database for the same arguments.

    Close the connections of the others, which another file of tests has left.
    """
    database = keep_database(url, **options)
    for other in KEPT - {database}:
        other.engine.dispose()
    KEPT.add(database)
    return database


def empty(gateway: Gateway) -> None:
    """Delete every row that the previous test left."""
    with gateway.database.transaction() as session:
        write_freely(session)
        delete_rows(session)


def write_freely(session: Session) -> None:
    """Switch off the foreign keys, and the trigger that protects the history, for this transaction."""
    session.connection().exec_driver_sql("SET LOCAL session_replication_role = replica")


def delete_rows(session: Session) -> None:
    """Delete all rows of all tables."""
    session.connection().exec_driver_sql(DELETE)


def mirror(world: World) -> list[Any]:
    """Return the content of the tables without the columns that record its origin."""
    found: list[Any] = []
    for model in (Organization, PaymentMethod, Plan, Subscription, Invoice):
        skip = {"as_of", "source", "trail", "revision", "created_at", "customer_key_since"}
        names = [name for name in model.__table__.columns.keys() if name not in skip]  # noqa: SIM118 - not a dict
        found += [(model.__name__, [getattr(row, name) for name in names]) for row in world.rows(model)]
    plan = world.plan_row()
    return [*found, (plan.plan, plan.quantity, plan.status, plan.subscription_id, plan.current_period_end)]


def state_of(world: World, event_id: str) -> str:
    return next(row.state for row in world.rows(WebhookEvent) if row.id == event_id)


def change_event(world: World, event_id: str, **values: Any) -> None:
    with world.gateway.database.transaction() as session:
        session.execute(update(WebhookEvent).where(WebhookEvent.id == event_id).values(values))


def execute_sql(world: World, statement: str) -> None:
    with world.gateway.database.transaction() as session:
        session.execute(text(statement))
