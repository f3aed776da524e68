"""The worker's connections to the job queue. They notice a lost database as fast as all other connections."""

from typing import Any

import psycopg
from procrastinate import PsycopgConnector
from psycopg_pool import AsyncConnectionPool

from gateway.db.session import CONNECT, is_read_only

# Seconds. The pool doubles its wait after each failed connection, so a pool that tries for longer would be late when
# the database is back. The worker opens a new pool then.
WAIT_FOR_CONNECTION, RECONNECT = 5.0, 2.0


def queue_connector(url: str) -> PsycopgConnector:
    """Return the connector of a worker. Its pool opens with the application."""
    return PsycopgConnector(
        conninfo=url,
        kwargs=dict(CONNECT),
        pool_factory=build_pool,
        timeout=WAIT_FOR_CONNECTION,
        reconnect_timeout=RECONNECT,
    )


def build_pool(*, check: object, **options: Any) -> AsyncConnectionPool:  # noqa: ARG001 - replaces Procrastinate's check
    """Return a pool that replaces all of its connections when one of them turns out to be dead.

    They died together. Otherwise each of them would make a caller wait for seconds.
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
