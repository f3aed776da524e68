"""The connection pool, transactions, and the translation of outages into DatabaseUnavailable."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any

import orjson
import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine, Executable, Row, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from gateway.db.answer_watch import AnswerWatch
from gateway.db.clock import DatabaseClock
from gateway.errors import DatabaseUnavailable

# SQLSTATE classes of an outage: connection exception, insufficient resources, shutdown and crash, read-only server. Not
# every OperationalError of psycopg is an outage. A deadlock or an oversized index key concerns only one statement.
OUTAGES = ("08", "53", "57P0", "25006")
LOCKED = "55P03"  # SQLSTATE of lock_timeout
BUSY = (LOCKED, "57014")  # and of statement_timeout
UNREACHABLE = "The database cannot be reached. Please try again."
BUSY_DETAIL = "The database is busy, or something in it is locked. Please try again."
PLAN_RANKING = "plan_ranking"  # a session's ``info`` holds the keys of the plans under this key, smallest plan first
SUSPENDS_DISPUTED = "suspends_disputed"  # under this key it holds the catalogue's ``on_dispute``
RECEIVERS = "receivers"  # under this key it holds the names of the receivers of notifications
RETURNED_AT = "returned_at"  # a pooled connection stores under this key when it was last returned
RECENTLY_USED = 0.1  # seconds
# Without the idle timeout, a process that hangs would keep its transaction's locks until it ends. Our transactions wait
# only for the database, so none of them reaches the timeout in normal operation. Without the lock timeout, an
# organization that stays locked would soon hold all threads of a process.
SESSION_SETTINGS: Mapping[str, str] = MappingProxyType(
    {"timezone": "UTC", "idle_in_transaction_session_timeout": "15s", "lock_timeout": "5s"}
)
# With these settings we notice a vanished server within 15 seconds, and no connection is opened to a server
# that refuses writes.
CONNECT: Mapping[str, Any] = MappingProxyType(
    {
        "connect_timeout": 5,
        "tcp_user_timeout": 10_000,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "target_session_attrs": "read-write",
        "client_encoding": "UTF8",  # a database in SQL_ASCII would answer with bytes
        "options": " ".join(f"-c {name}={value}" for name, value in SESSION_SETTINGS.items()),
    }
)


def is_outage(error: BaseException | None) -> bool:
    """Return whether ``error`` means that the database is down or refuses writes.

    An OperationalError without a SQLSTATE is a failed connection.
    """
    if not isinstance(error, psycopg.Error) or error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate.startswith(OUTAGES)


def is_busy(error: BaseException | None) -> bool:
    """Return whether PostgreSQL gave up waiting, because of ``lock_timeout`` or ``statement_timeout``."""
    return find_sqlstate(error) in BUSY


def is_locked(error: BaseException | None) -> bool:
    """Return whether PostgreSQL gave up waiting for another session's lock."""
    return find_sqlstate(error) == LOCKED


def find_sqlstate(error: BaseException | None) -> str | None:
    """Return the SQLSTATE of an error of the driver or of SQLAlchemy."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return cause.sqlstate if isinstance(cause, psycopg.Error) else None


def is_read_only(connection: psycopg.BaseConnection[Any]) -> bool:
    """Return whether the server refuses writes. PostgreSQL reports it with its answers, so this takes no round trip.

    https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-ASYNC
    """
    status = connection.pgconn.parameter_status
    return b"on" in (status(b"default_transaction_read_only"), status(b"in_hot_standby"))


def end_transaction(connection: psycopg.Connection[Any], _record: object, _state: object) -> None:
    """Roll back what a block has left open. psycopg takes long for a rollback, even if there is no transaction."""
    if connection.pgconn.transaction_status != TransactionStatus.IDLE:
        connection.rollback()


@contextmanager
def translate_outages() -> Iterator[None]:
    """Raise DatabaseUnavailable if the database is down or too busy, or if all connections are in use."""
    try:
        yield
    except PoolTimeout as error:
        raise DatabaseUnavailable("All database connections are in use. Please try again.") from error
    except DBAPIError as error:
        if is_busy(error):
            raise DatabaseUnavailable(BUSY_DETAIL) from error
        if error.connection_invalidated or is_outage(error.orig):
            raise DatabaseUnavailable(UNREACHABLE) from error
        raise
    except psycopg.Error as error:  # from the driver itself, as in `read`
        if is_busy(error):
            raise DatabaseUnavailable(BUSY_DETAIL) from error
        if is_outage(error):
            raise DatabaseUnavailable(UNREACHABLE) from error
        raise


class Database:
    """PostgreSQL behind a connection pool. Each process creates one after the fork, and its threads share it."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        plan_ranking: Sequence[str] = (),
        suspends_disputed: bool = False,
        receivers: Sequence[str] = (),
    ) -> None:
        """Connect to ``url`` on first use. The plan table follows the catalogue's order and its ``on_dispute``.

        ``receivers`` names the receivers that are notified of changes.
        """
        rules = {PLAN_RANKING: plan_ranking, SUSPENDS_DISPUTED: suspends_disputed, RECEIVERS: receivers}
        self._session = partial(Session, expire_on_commit=False, info=rules)
        self.url = url
        self.answers = AnswerWatch()
        self._clock = DatabaseClock()
        self._asked = False
        self.engine: Engine = create_engine(
            "postgresql+psycopg://",
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=5,
            pool_use_lifo=True,
            pool_reset_on_return=None,  # `end_transaction` does it
            hide_parameters=True,  # logs contain error texts, which must not show names, addresses or payloads
            connect_args=CONNECT,
            json_deserializer=orjson.loads,  # the standard library's takes several times as long
        )
        event.listen(self.engine, "do_connect", self._open)
        event.listen(self.engine, "reset", end_transaction)
        event.listen(self.engine, "checkin", self._note_return)
        event.listen(self.engine, "checkout", self._replace_if_dead)
        self._autocommit_engine = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Run the block in one transaction. Commit at its end, or roll back if it raises.

        Raise DatabaseUnavailable if the database cannot be reached or goes down during the block. Then the caller does
        not know whether the transaction committed.
        """
        with (
            translate_outages(),
            self._session(self.engine) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Run the block without a transaction, for reads that need none. That saves two round trips.

        Raise DatabaseUnavailable.
        """
        with (
            translate_outages(),
            self._session(self._autocommit_engine) as session,
            session.begin(),
        ):
            yield session

    def execute(self, statement: Executable) -> int:
        """Execute and commit one statement, and return the number of rows. Raise DatabaseUnavailable."""
        with translate_outages(), self._autocommit_engine.connect() as connection:
            return connection.execute(statement).rowcount

    def fetch(self, statement: Executable, parameters: Mapping[str, Any]) -> Sequence[Row[Any]]:
        """Execute and commit one statement, and return its rows. Raise DatabaseUnavailable."""
        with translate_outages(), self._autocommit_engine.connect() as connection:
            return connection.execute(statement, parameters).all()

    def read(self, query: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Execute and commit one statement with the driver alone, and return its rows. Raise DatabaseUnavailable."""
        with self.driver() as driver:
            return driver.execute(query, parameters).fetchall()

    @contextmanager
    def driver(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """Lend a connection that commits each statement. Raise DatabaseUnavailable.

        SQLAlchemy's own execution takes as long as a short SELECT. Only the most frequent statements need this.
        """
        with translate_outages(), closing(self.engine.raw_connection()) as pooled:
            driver: psycopg.Connection[tuple[Any, ...]] = pooled.driver_connection  # type: ignore[assignment]  # psycopg's
            driver.autocommit = True
            try:
                yield driver
            finally:
                if not driver.closed:
                    driver.autocommit = False

    def now(self) -> datetime:
        """Return the database's time in UTC. If it was never reached, return this machine's time.

        Only the first call connects. While the database is away, others would wait for nothing.
        """
        if not self._asked:
            self._asked = True
            with suppress(DatabaseUnavailable), translate_outages():
                self.engine.connect().close()  # reads the clock
        return self._clock()

    def connect(self) -> psycopg.Connection[Any]:
        """Open an autocommit connection outside the pool. Raise psycopg.OperationalError if that fails."""
        return psycopg.connect(self.url, autocommit=True, **CONNECT)

    def _open(self, _dialect: object, _record: object, _positional: object, named: Mapping[str, Any]) -> Any:
        """Open a connection of the pool. SQLAlchemy cannot read a URL with several hosts, so libpq reads it."""
        connection = psycopg.connect(self.url, **named)
        self.answers.begin(connection)
        self._clock.read(connection)
        return connection

    def _note_return(self, connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        self.answers.end(connection)  # type: ignore[arg-type]  # psycopg's
        record.info[RETURNED_AT] = time.monotonic()

    def _replace_if_dead(self, connection: DBAPIConnection, record: ConnectionPoolEntry, _: object) -> None:
        """Read the clock. Have the pool replace the connection if it is dead or the server has become read-only.

        Otherwise each connection would fail one request after a restart of the database. A connection that was in use a
        moment ago needs no check, because no database restarts that fast. A request takes a connection several times in
        a row, so this saves round trips. If an administrator ends a connection in that moment, one request fails.
        """
        self.answers.begin(connection)  # type: ignore[arg-type]  # psycopg's
        try:
            if self._clock.is_old or time.monotonic() - record.info.get(RETURNED_AT, math.inf) >= RECENTLY_USED:
                self._clock.read(connection)  # type: ignore[arg-type]  # psycopg's
        except psycopg.Error as error:
            raise InvalidatePoolError from error  # the other connections died with it
        if is_read_only(connection):  # type: ignore[arg-type]  # psycopg's
            raise InvalidatePoolError

    def close(self) -> None:
        """Close the pooled connections."""
        self.engine.dispose()
