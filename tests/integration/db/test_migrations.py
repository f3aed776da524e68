"""The migrations create the tables that the models describe, and can be reverted."""

from alembic import command
from sqlalchemy import text

from gateway.db.migrate import alembic_config, migrate
from gateway.db.revision import HEAD, is_migrated
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
