"""The simulation's connections to PostgreSQL, which have the simulated clock and plan each statement once."""

from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg._preparing import PrepareManager
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from gateway.db.clock import DatabaseClock
from gateway.db.session import Database
from gateway.db.writer import require_success
from tests.simulation.one_clock import OneClock


class SimulatedClock(DatabaseClock):
    """Sets the clock of each connection before its use, and reads none."""

    def __init__(self, clock: OneClock) -> None:
        super().__init__()
        self._clock = clock
        self._set_to: WeakKeyDictionary[psycopg.Connection[Any], float] = WeakKeyDictionary()

    @property
    def is_old(self) -> bool:
        """Return True, so that each use of a connection begins with ``read``."""
        return True

    def read(self, connection: psycopg.Connection[Any]) -> None:
        """Set the connection's clock, unless it stands right. libpq begins no transaction for it."""
        if self._set_to.get(connection) != self._clock.seconds:
            self._set_to[connection] = self._clock.seconds
            require_success(connection.pgconn.exec_(f"SET gateway.now = '{self._clock.now().isoformat()}'".encode()))


def set_clock(database: Database, clock: DatabaseClock) -> DatabaseClock:
    """Give a database another clock, and return the one before."""
    before, database._clock = database._clock, clock  # noqa: SLF001 - only the simulation has another clock
    return before


class KeptPlans(PrepareManager):
    """Keeps all prepared statements, also after a rollback. psycopg forgets them, in case it has undone a DDL."""

    prepare_threshold = 1
    prepared_max = 10_000

    def clear(self) -> bool:
        """Keep them."""
        return False


def keep_plans(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    """Let a connection plan each statement once."""
    driver: psycopg.Connection[Any] = connection  # type: ignore[assignment]  # psycopg's
    driver._prepared = KeptPlans()  # noqa: SLF001 - psycopg has no setting for it
    driver.execute("SET plan_cache_mode = force_generic_plan")
    driver.commit()
