"""The migrations create the tables that the models describe, and can be reverted."""

import psycopg
import pytest
from alembic import command
from sqlalchemy import make_url, text

from gateway.config import ConfigError
from gateway.db.migrate import alembic_config, migrate
from gateway.db.pooler import find_pooler_problem
from gateway.db.revision import HEAD, is_migrated
from gateway.db.session import Database
from tests.support.world import World


def test_models_and_migrations_agree(world: World) -> None:
    with world.gateway.database.engine.connect() as connection:
        command.check(alembic_config(connection))


def test_last_migration_can_be_reverted_and_repeated(world: World) -> None:
    with world.gateway.database.engine.begin() as connection:
        config = alembic_config(connection)
        command.downgrade(config, "-1")
        command.upgrade(config, "head")
        assert connection.scalar(text("SELECT count(*) FROM alembic_version")) == 1


def test_database_that_cannot_store_every_name_is_refused(database_url: str) -> None:
    url = make_url(database_url)
    create = "CREATE DATABASE ascii ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(create)
        ascii_only = Database(url.set(database="ascii").render_as_string(hide_password=False))
        try:
            assert find_pooler_problem(ascii_only) is None
            with pytest.raises(ConfigError, match=r"encoding SQL_ASCII\. Create one with"):
                migrate(ascii_only)
        finally:
            ascii_only.close()
            connection.execute("DROP DATABASE ascii WITH (FORCE)")


def test_older_release_stays_ready_during_a_rollout(world: World) -> None:
    database = world.gateway.database
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    try:
        migrate(database)
        assert is_migrated(database)
        assert world.client.get("/health/ready").status_code == 200
    finally:
        with database.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :head"), {"head": HEAD})


def test_a_database_that_lacks_a_migration_is_not_ready(world: World) -> None:
    with world.gateway.database.engine.begin() as connection:
        command.downgrade(alembic_config(connection), "-1")
    try:
        assert not is_migrated(world.gateway.database)
        assert world.client.get("/health/ready").status_code == 503
    finally:
        migrate(world.gateway.database)
    assert is_migrated(world.gateway.database)
