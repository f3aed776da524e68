"""Engine and transactions."""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import psycopg
from sqlalchemy import Engine, Executable, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from gateway.errors import DatabaseUnavailable

# SQLSTATE classes of an outage: connection exception, insufficient resources, shutdown and crash. Not psycopg's
# OperationalError as such, which a deadlock or an oversized index key is as well: those are one statement's trouble.
OUTAGES = ("08", "53", "57P0")
RETURNED_AT = "returned_at"  # a pooled connection's note of when it was last given back
SURELY_LIVES = 0.1  # seconds
# A peer that is gone without a word is noticed within half a minute, not when TCP gives up: the server by us, and we by
# the server, which lets go of what a transaction holds whose process hangs, or whose machine is cut off. None of ours
# waits for anything but the database, so none is idle for longer than it computes.
CONNECT: Mapping[str, Any] = MappingProxyType(
    {
        "connect_timeout": 5,
        "tcp_user_timeout": 25_000,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "options": "-c timezone=UTC -c idle_in_transaction_session_timeout=30s",
    }
)


def is_outage(error: BaseException | None) -> bool:
    """Whether the database as a whole is away. An error without a SQLSTATE comes from a failed connection."""
    return isinstance(error, psycopg.OperationalError) and (error.sqlstate or "08").startswith(OUTAGES)


@contextmanager
def outages_named() -> Iterator[None]:
    """Raise DatabaseUnavailable for what says that the database is away, or has no connection to spare."""
    try:
        yield
    except PoolTimeout as error:
        raise DatabaseUnavailable("All database connections are in use; please try again.") from error
    except DBAPIError as error:
        if error.connection_invalidated or is_outage(error.orig):
            raise DatabaseUnavailable("The database cannot be reached; please try again.") from error
        raise


class Database:
    """PostgreSQL behind a pool. One a process, created after the fork; threads share it."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.engine: Engine = create_engine(
            make_url(url).set(drivername="postgresql+psycopg"),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=5,
            hide_parameters=True,  # an error's text goes into logs: it must not carry names, addresses or payloads
            connect_args=CONNECT,
        )
        event.listen(self.engine, "checkin", self._note_return)
        event.listen(self.engine, "checkout", self._look_if_it_lives)
        self._each_for_itself = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """One transaction: committed at the end of the block, rolled back if it raises.

        Raises DatabaseUnavailable if the database cannot be reached or went away meanwhile: then it is not known to be
        committed.
        """
        with outages_named(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """For statements that need no transaction around them, as reads do: two round trips less.

        Raises DatabaseUnavailable.
        """
        with outages_named(), Session(self._each_for_itself, expire_on_commit=False) as session, session.begin():
            yield session

    def execute(self, statement: Executable) -> int:
        """Execute one statement that commits by itself; gives the number of rows. Raises DatabaseUnavailable."""
        with outages_named(), self._each_for_itself.connect() as connection:
            return connection.execute(statement).rowcount

    def connect(self) -> psycopg.Connection[Any]:
        """A connection outside the pool that commits each statement by itself. psycopg.OperationalError if it fails."""
        url = self.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        return psycopg.connect(url, autocommit=True, **CONNECT)

    def _note_return(self, _connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        record.info[RETURNED_AT] = time.monotonic()

    def _look_if_it_lives(self, connection: DBAPIConnection, record: ConnectionPoolEntry, _: object) -> None:
        """Have a dead connection replaced: a restarted database costs a round trip, not a failed request a connection.

        Not one that was used a moment ago: no database restarts as fast, and what a request does takes it several
        times in turn. One that an administrator ends in that very moment costs the request that takes it.
        """
        if time.monotonic() - record.info.get(RETURNED_AT, math.inf) < SURELY_LIVES:
            return
        try:
            self.engine.dialect.do_ping(connection)
        except psycopg.Error as error:
            raise InvalidatePoolError from error  # the others are of the same age

    def close(self) -> None:
        """Close the pooled connections."""
        self.engine.dispose()
