"""The worker's connections to the job queue. They notice a lost database as fast as all other connections."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, LiteralString

import psycopg
from procrastinate import PsycopgConnector
from procrastinate.connector import Notify
from procrastinate.sql import queries
from psycopg.sql import SQL, Identifier
from psycopg_pool import AsyncConnectionPool

from gateway import supervision
from gateway.db.session import CONNECT, is_read_only
from gateway.supervision import Supervision

# Seconds. The pool doubles its wait after each failed connection, so a pool that tries for longer would be late when
# the database is back. The worker opens a new pool then.
WAIT_FOR_CONNECTION, RECONNECT = 5.0, 2.0
LISTEN_CHECK = 5.0  # seconds after which the connection that listens must prove that it is alive
LOOP_OF_QUERY = {
    queries["fetch_job"]: supervision.FETCH,
    queries["defer_periodic_job"]: supervision.PERIODIC,
    queries["update_heartbeat"]: supervision.HEARTBEAT,
}


class QueueConnector(PsycopgConnector):
    """Procrastinate's connector, which also notes each turn of the worker's loops."""

    def __init__(self, url: str, supervised: Supervision) -> None:
        """Open nothing yet. The pool opens with the application."""
        super().__init__(
            conninfo=url,
            kwargs=dict(CONNECT),
            pool_factory=build_pool,
            timeout=WAIT_FOR_CONNECTION,
            reconnect_timeout=RECONNECT,
        )
        self._url = url
        self._supervised = supervised

    async def execute_query_async(self, query: LiteralString, **arguments: Any) -> None:
        """Execute a statement. An error also proves that the loop turns."""
        try:
            await super().execute_query_async(query, **arguments)
        finally:
            self._note_turn(query)

    async def execute_query_one_async(self, query: LiteralString, **arguments: Any) -> dict[str, Any]:
        """Execute a query and return its row. An error also proves that the loop turns."""
        try:
            row: dict[str, Any] = await super().execute_query_one_async(query, **arguments)
            return row
        finally:
            self._note_turn(query)

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Listen until cancelled. Procrastinate's own method needs half a minute to notice a lost connection."""
        while True:
            async with await psycopg.AsyncConnection.connect(self._url, autocommit=True, **CONNECT) as connection:
                for channel in channels:
                    await connection.execute(SQL("LISTEN {}").format(Identifier(channel)))
                with suppress(psycopg.OperationalError):  # the connection is lost, so the loop opens another
                    while True:
                        self._supervised.beat(supervision.LISTEN)
                        async for each in connection.notifies(timeout=LISTEN_CHECK):
                            await on_notification(channel=each.channel, payload=each.payload)
                        await connection.execute("SELECT 1")

    def _note_turn(self, query: str) -> None:
        if (loop := LOOP_OF_QUERY.get(query)) is not None:
            self._supervised.beat(loop)


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
