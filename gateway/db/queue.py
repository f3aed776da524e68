"""The worker's connections to the job queue. Its statements wait until a lost database is back."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, LiteralString, TypeVar

import psycopg
import structlog
from procrastinate import PsycopgConnector
from procrastinate.connector import Notify
from procrastinate.exceptions import ConnectorException
from procrastinate.sql import queries
from psycopg.sql import SQL, Identifier
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from gateway import supervision
from gateway.db.session import CONNECT, is_busy, is_outage, is_read_only
from gateway.errors import DatabaseUnavailable
from gateway.supervision import Supervision

CONNECTIONS = 4
# Seconds for which a statement waits for a connection, and the pool tries to open one. The pool doubles its pause after
# each failure, so one that tried for longer would be late when the database is back.
CONNECTION_TIMEOUT = 2.0
RETRY_AFTER = 1.0  # second
LISTEN_CHECK = 5.0  # seconds after which the connection that listens must prove that it is alive
LOOP_OF_QUERY = {
    queries["fetch_job"]: supervision.FETCH,
    queries["defer_periodic_job"]: supervision.PERIODIC,
    queries["update_heartbeat"]: supervision.HEARTBEAT,
}


T = TypeVar("T")

log = structlog.get_logger()


class QueueConnector(PsycopgConnector):
    """Procrastinate's connector, which waits for a lost database and notes each turn of the worker's loops."""

    def __init__(self, url: str, supervised: Supervision) -> None:
        """Open nothing yet. The pool opens each connection when a statement needs it."""
        super().__init__(
            conninfo=url,
            kwargs={**CONNECT, "autocommit": True},  # Procrastinate never makes a transaction of two statements
            pool_factory=build_pool,
            min_size=0,
            max_size=CONNECTIONS,
            timeout=CONNECTION_TIMEOUT,
            reconnect_timeout=CONNECTION_TIMEOUT,
        )
        self._url = url
        self._supervised = supervised

    async def execute_query_async(self, query: LiteralString, **arguments: Any) -> None:
        """Execute a statement."""
        await self._execute(super().execute_query_async, query, arguments)

    async def execute_query_one_async(self, query: LiteralString, **arguments: Any) -> dict[str, Any]:
        """Execute a query and return its row."""
        return await self._execute(super().execute_query_one_async, query, arguments)

    async def execute_query_all_async(self, query: LiteralString, **arguments: Any) -> list[dict[str, Any]]:
        """Execute a query and return its rows."""
        return await self._execute(super().execute_query_all_async, query, arguments)

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Listen until cancelled. Procrastinate's own method needs half a minute to notice a lost connection.

        The worker also looks for jobs by itself, so it goes on while nothing listens.
        """
        while True:
            try:
                await self._listen(on_notification, channels)
            except psycopg.OperationalError as error:
                log.warning("listener_without_database", error=str(error))
                self._supervised.note_loss()
            self._supervised.beat(supervision.LISTEN)
            await asyncio.sleep(RETRY_AFTER)

    async def _listen(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Listen until the connection is lost. Raise psycopg.OperationalError then."""
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True, **CONNECT) as connection:
            for channel in channels:
                await connection.execute(SQL("LISTEN {}").format(Identifier(channel)))
            while True:
                self._supervised.beat(supervision.LISTEN)
                async for each in connection.notifies(timeout=LISTEN_CHECK):
                    await on_notification(channel=each.channel, payload=each.payload)
                await connection.execute("SELECT 1")

    async def _execute(
        self, execute: Callable[..., Awaitable[T]], query: LiteralString, arguments: dict[str, Any]
    ) -> T:
        """Execute a statement, and repeat it while the database is away. An error also proves that the loop turns.

        A statement that failed would end the worker, or leave its job in progress for ever.
        """
        while True:
            try:
                return await execute(query, **arguments)
            except ConnectorException as error:
                if self._supervised.stopping.is_set() or not may_repeat(query, error):
                    if query == queries["fetch_job"]:
                        self._supervised.ending.set()  # the worker ends, so its jobs must end too
                    raise
                log.warning("worker_without_database", error=str(error.__cause__))
            finally:
                if (loop := LOOP_OF_QUERY.get(query)) is not None:
                    self._supervised.beat(loop)
            await asyncio.sleep(RETRY_AFTER)


def may_repeat(query: str, error: ConnectorException) -> bool:
    """Return whether a failed statement may be executed again."""
    if not lacks_database(error) or query == queries["defer_periodic_job"]:  # the periodic loop starts again instead
        return False
    # A fetch that lost its connection may have taken a job. Only a new worker lets others take up that job.
    return query != queries["fetch_job"] or isinstance(error.__cause__, PoolTimeout) or is_busy(error.__cause__)


def lacks_database(error: Exception) -> bool:
    """Return whether the error means that the database is down or busy."""
    cause = error.__cause__ if isinstance(error, ConnectorException) else error
    return isinstance(error, DatabaseUnavailable) or is_outage(cause) or is_busy(cause)


def build_pool(*, check: object, **options: Any) -> AsyncConnectionPool:  # noqa: ARG001 - replaces Procrastinate's check
    """Return a pool that replaces all of its connections when one of them turns out to be dead.

    All of them died together. Each one that stays would make a caller wait for seconds.
    """

    async def check_or_drain(connection: psycopg.AsyncConnection[Any]) -> None:
        try:
            await AsyncConnectionPool.check_connection(connection)
            if is_read_only(connection):
                raise psycopg.OperationalError("The server is read-only.")
        except psycopg.Error:
            await pool.drain()
            raise

    pool = AsyncConnectionPool(check=check_or_drain, **options)
    return pool
