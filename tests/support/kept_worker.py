"""Runs the worker's jobs on a connection that stays open for the next test.

A new connection takes ten times the processor time of the few statements that a worker without jobs executes.
"""

import asyncio
import atexit
from functools import cache
from typing import Any

from procrastinate import App, PsycopgConnector
from psycopg_pool import AsyncConnectionPool


def run_due_jobs(worker: App, url: str) -> None:
    """Do every due job of the default queue."""
    loop, connector = open_queue(url)
    with worker.replace_connector(connector) as connected:
        connected.periodic_registry.periodic_tasks.clear()  # stopping their loop often takes a second
        loop.run_until_complete(
            connected.run_worker_async(
                queues=["default"], wait=False, listen_notify=False, install_signal_handlers=False
            )
        )


@cache
def open_queue(url: str) -> tuple[asyncio.AbstractEventLoop, PsycopgConnector]:
    """Open a connection to the queue, and an event loop that keeps it. Both close when the process ends."""
    loop = asyncio.new_event_loop()
    connector = PsycopgConnector(conninfo=url, min_size=1, kwargs={"autocommit": True}, pool_factory=build_pool)
    loop.run_until_complete(connector.open_async())

    def close() -> None:
        loop.run_until_complete(connector.close_async())
        loop.close()

    atexit.register(close)
    return loop, connector


def build_pool(*, check: object, **options: Any) -> AsyncConnectionPool:  # noqa: ARG001 - Procrastinate passes it
    """Return a pool that does not test each connection before it is used."""
    return AsyncConnectionPool(**options)
