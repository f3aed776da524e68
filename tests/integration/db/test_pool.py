"""The pool lends the connection that is most likely to be warm, and never one with an open transaction."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from gateway.db.session import Database


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


def find_backend(database: Database) -> int:
    [(found,)] = database.read("SELECT pg_backend_pid()", {})
    return int(found)


def test_connection_that_was_used_last_is_lent_next(database: Database) -> None:
    with database.driver() as first, database.driver() as second:
        backends = [first.info.backend_pid, second.info.backend_pid]
    assert [find_backend(database) for _ in range(3)] == [backends[0]] * 3  # the first block was left last


def test_transaction_that_a_block_leaves_open_is_rolled_back(database: Database) -> None:
    with database.driver() as driver:
        driver.execute("CREATE TEMP TABLE kept (value integer)")
    with closing(database.engine.raw_connection()) as pooled:
        pooled.cursor().execute("INSERT INTO kept VALUES (1)")
    with database.driver() as driver:
        assert driver.execute("SELECT count(*) FROM kept").fetchall() == [(0,)]
