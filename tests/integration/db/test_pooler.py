"""A connection pooler that breaks sessions is found, as far as PgBouncer can be one."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psycopg
import pytest

from gateway.config import ConfigError
from gateway.db.pooler import (
    DROPS_SETTINGS,
    REFUSES_SETTINGS,
    SHARES_SESSIONS,
    find_pooler_problem,
    refuse_pooler,
)
from gateway.db.session import SESSION_SETTINGS, Database
from gateway.errors import DatabaseUnavailable
from tests.support.pgbouncer import IGNORES_SETTINGS, needs_pgbouncer, pgbouncer

Pooled = Callable[..., Database]


@pytest.fixture
def pooled(database_url: str) -> Iterator[Pooled]:
    """Return a function that runs PgBouncer in front of the database."""
    with ExitStack() as resources:

        def run(mode: str, *settings: str) -> Database:
            return Database(resources.enter_context(pgbouncer(database_url, mode, *settings)))

        yield run


@needs_pgbouncer
@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_pooler_that_shares_sessions_is_refused(pooled: Pooled, mode: str) -> None:
    with pytest.raises(ConfigError, match="pool_mode to session") as refusal:
        refuse_pooler(pooled(mode, IGNORES_SETTINGS))
    assert str(refusal.value) == SHARES_SESSIONS


@needs_pgbouncer
def test_pooler_that_refuses_settings_is_named(pooled: Pooled) -> None:
    assert find_pooler_problem(pooled("transaction")) == REFUSES_SETTINGS


@needs_pgbouncer
def test_session_pooler_needs_the_settings_of_the_role(pooled: Pooled, database_url: str) -> None:
    assert find_pooler_problem(pooled("session", IGNORES_SETTINGS)) == DROPS_SETTINGS
    with psycopg.connect(database_url, autocommit=True) as connection:
        [name] = connection.execute("SELECT current_database()").fetchone() or [""]
        for setting, value in SESSION_SETTINGS.items():
            connection.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'".encode())
        try:
            assert find_pooler_problem(pooled("session", IGNORES_SETTINGS)) is None
        finally:
            connection.execute(f"ALTER DATABASE {name} RESET ALL".encode())


def test_postgresql_itself_is_no_pooler(database_url: str) -> None:
    assert find_pooler_problem(Database(database_url)) is None


def test_database_that_is_down_is_not_refused() -> None:
    nowhere = Database("postgresql://gateway@127.0.0.1:9/gateway")
    refuse_pooler(nowhere)
    with pytest.raises(DatabaseUnavailable):
        find_pooler_problem(nowhere)
