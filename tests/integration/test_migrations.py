"""The migrations make what the models say, and lead back."""

from alembic import command
from sqlalchemy import text

from gateway.db.migrate import alembic_config
from tests.integration.support import World


def test_models_and_migrations_are_in_step(world: World) -> None:
    with world.gateway.database.engine.connect() as connection:
        command.check(alembic_config(connection))


def test_the_last_migration_can_be_taken_back_and_made_again(world: World) -> None:
    with world.gateway.database.engine.begin() as connection:
        config = alembic_config(connection)
        command.downgrade(config, "-1")
        command.upgrade(config, "head")
        assert connection.scalar(text("SELECT count(*) FROM alembic_version")) == 1
