"""The worker's connections to the job queue survive what other connections survive."""

import asyncio
import time

import psycopg
import pytest

from gateway.db import queue
from gateway.db.queue import CONNECTIONS, QueueConnector
from gateway.db.session import CONNECT
from gateway.supervision import Supervision

END_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'queue'"

END_ITSELF_ONCE = "SELECT pg_terminate_backend(pg_backend_pid()) WHERE nextval('tries') = 1"


def test_dead_connections_are_replaced_together(database_url: str) -> None:
    async def reconnect() -> float:
        connector = QueueConnector(f"{database_url}&application_name=queue", Supervision())
        await connector.open_async()
        try:
            await asyncio.gather(*(connector.execute_query_async("SELECT pg_sleep(0.05)") for _ in range(CONNECTIONS)))
            with psycopg.connect(database_url, autocommit=True) as other:
                ended = other.execute(END_ALL).rowcount
            assert ended == CONNECTIONS
            began = time.monotonic()
            for _ in range(ended):
                await connector.execute_query_async("SELECT 1")
            return time.monotonic() - began
        finally:
            await connector.close_async()

    assert asyncio.run(reconnect()) < 2  # one wait of a second, and not one for each connection


def test_statement_that_lost_its_connection_is_repeated(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "RETRY_AFTER", 0)

    async def end_own_session() -> None:
        connector = QueueConnector(database_url, Supervision())
        await connector.open_async()
        try:
            await connector.execute_query_async(END_ITSELF_ONCE)
        finally:
            await connector.close_async()

    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute("CREATE SEQUENCE tries")  # a rollback does not take back its numbers
        try:
            asyncio.run(end_own_session())
            assert other.execute("SELECT last_value FROM tries").fetchone() == (2,)
        finally:
            other.execute("DROP SEQUENCE tries")


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
