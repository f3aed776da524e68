"""Bringing a database up to date: our tables through Alembic, the job queue's through Procrastinate."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from procrastinate.schema import SchemaManager
from sqlalchemy import Connection, text

from gateway.db.session import Database

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = 0x6B6F6E6E  # any constant of ours: machines that start together migrate one after the other


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration for an open connection; there is no alembic.ini to keep in step."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def migrate(database: Database) -> None:
    """Apply every migration that is missing. Safe to run at each start and from several machines at once.

    A database that a newer release has migrated is left as it is: this release may go on with it.
    """
    with database.engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        if not has_all(connection):
            command.upgrade(alembic_config(connection), "head")
        if connection.scalar(text("SELECT to_regclass('procrastinate_jobs')")) is None:
            connection.exec_driver_sql(SchemaManager.get_schema().replace("%", "%%"))


def is_migrated(database: Database) -> bool:
    """Whether every migration that this release knows is applied. Raises DatabaseUnavailable."""
    with database.transaction() as session:
        return has_all(session.connection())


def has_all(connection: Connection) -> bool:
    """The same for an open connection. Revisions are numbered: a newer release's database has a higher number."""
    return MigrationContext.configure(connection).get_current_heads() >= known_heads()


@cache
def known_heads() -> tuple[str, ...]:
    """The last of the migrations that lie beside this module."""
    return tuple(ScriptDirectory(str(MIGRATIONS)).get_heads())
