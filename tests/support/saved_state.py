"""Keeps what a fixture has set up, so that the next test gets it without the requests.

Stripe's objects and the database's rows are restored together. Times in them stay as they were, so a state in which
time matters is kept for seconds only.
"""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import psycopg

from gateway.db.models import Base
from gateway.db.session import Database
from gateway.sandbox import Sandbox
from tests.support.database import PROCRASTINATE, delete_rows, write_freely
from tests.support.world import World

ADDRESSED = ("webhook_endpoint", "_webhook_endpoint")
"""The kinds of objects that belong to one sandbox, because they name the address of one test's gateway."""
TABLES = (*Base.metadata.tables, *PROCRASTINATE)


@dataclass(frozen=True)
class SavedState:
    """Stripe's objects by kind, and the rows of each table that has any."""

    objects: dict[str, Any]
    rows: dict[str, bytes]
    saved_at: float

    @classmethod
    def of(cls, database: Database, sandbox: Sandbox) -> "SavedState":
        """Save the present state. No webhook may be in flight."""
        objects = {kind: found for kind, found in sandbox.save().items() if kind not in ADDRESSED}
        with database.transaction() as session:
            driver: psycopg.Connection[Any] = session.connection().connection.driver_connection  # type: ignore[assignment]  # psycopg's
            rows = {each: copy_from(driver, each) for each in TABLES}
        return cls(objects, {table: content for table, content in rows.items() if content}, time.monotonic())

    def restore(self, database: Database, sandbox: Sandbox) -> None:
        """Replace the rows of all tables, and add the objects to the sandbox."""
        sandbox.load(self.objects)
        with database.transaction() as session:
            driver: psycopg.Connection[Any] = session.connection().connection.driver_connection  # type: ignore[assignment]  # psycopg's
            write_freely(session)
            delete_rows(session)
            for table, content in self.rows.items():
                with driver.cursor().copy(f"COPY {table} FROM STDIN") as copying:
                    copying.write(content)


class SavedStates:
    """The saved states by what they follow from."""

    def __init__(self, lifetime: float) -> None:
        """Keep a state for ``lifetime`` seconds."""
        self._lifetime = lifetime
        self._states: dict[Hashable, SavedState] = {}

    def set_up(self, key: Hashable, database: Database, sandbox: Sandbox, set_up: Callable[[], None]) -> None:
        """Restore what ``set_up`` did for this key before. If that is missing or too old, do it and save the result."""
        state = self._states.get(key)
        if state is None or time.monotonic() - state.saved_at > self._lifetime:
            set_up()
            self._states[key] = SavedState.of(database, sandbox)
        else:
            state.restore(database, sandbox)


NEW = SavedStates(lifetime=30)
"""States of organizations that were set up moments ago. Their subscriptions must look new."""


def set_up_once(world: World, name: Hashable, set_up: Callable[[], None]) -> None:
    """Do to an empty world what ``set_up`` does, or restore what it did before under this name and catalogue.

    It must leave no webhook in flight.
    """
    catalog = world.gateway.config.catalog
    assert catalog is not None
    NEW.set_up((name, catalog.read_bytes()), world.gateway.database, world.sandbox, set_up)


def copy_from(driver: psycopg.Connection[Any], table: str) -> bytes:
    """Return the rows of a table as PostgreSQL's text."""
    with driver.cursor().copy(f"COPY {table} TO STDOUT") as copying:
        return b"".join(bytes(part) for part in copying)
