"""The worker's connections to the job queue survive what other connections survive."""

import asyncio
import time

import psycopg

from gateway.db.queue import QueueConnector
from gateway.db.session import CONNECT
from gateway.supervision import Supervision

END_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'queue'"


def test_dead_connections_are_replaced_together(database_url: str) -> None:
    async def reconnect() -> float:
        connector = QueueConnector(f"{database_url}&application_name=queue", Supervision())
        await connector.open_async()
        try:
            with psycopg.connect(database_url, autocommit=True) as other:
                ended = other.execute(END_ALL).rowcount
            assert ended > 1
            began = time.monotonic()
            for _ in range(ended):
                await connector.execute_query_async("SELECT 1")
            return time.monotonic() - began
        finally:
            await connector.close_async()

    assert asyncio.run(reconnect()) < 2  # one wait of a second, and not one for each connection


def test_queue_connections_have_the_timeouts_of_all_others(database_url: str) -> None:
    async def parameters() -> dict[str, str]:
        connector = QueueConnector(database_url, Supervision())
        await connector.open_async()
        try:
            async with connector.pool.connection() as connection:
                return connection.info.get_parameters()
        finally:
            await connector.close_async()

    found = asyncio.run(parameters())
    assert {name: found[name] for name in CONNECT} == {name: str(value) for name, value in CONNECT.items()}
