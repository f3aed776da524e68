"""A failed statement of the queue is repeated, unless it may have taken a job that nobody would learn of."""

import psycopg
import pytest
from procrastinate.exceptions import ConnectorException
from procrastinate.sql import queries
from psycopg import errors
from psycopg_pool import PoolTimeout

from gateway.db.queue import may_repeat

LOST, LOCKED = errors.AdminShutdown(), errors.LockNotAvailable()


@pytest.mark.parametrize(
    ("query", "cause", "repeated"),
    [
        ("finish_job", LOST, True),
        ("finish_job", PoolTimeout(), True),
        ("finish_job", errors.UniqueViolation(), False),
        ("fetch_job", PoolTimeout(), True),
        ("fetch_job", LOCKED, True),
        ("fetch_job", LOST, False),
        ("defer_periodic_job", LOST, False),
    ],
)
def test_statement_is_repeated_if_it_may_be(query: str, cause: psycopg.Error, *, repeated: bool) -> None:
    failed = ConnectorException()
    failed.__cause__ = cause
    assert may_repeat(queries[query], failed) is repeated
