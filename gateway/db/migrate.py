"""Brings a database up to date. Alembic migrates our tables, and Procrastinate creates the job queue's."""

from alembic import command
from alembic.config import Config
from procrastinate.schema import SchemaManager
from sqlalchemy import Connection, text

from gateway.config import ConfigError
from gateway.db.revision import MIGRATIONS, has_all
from gateway.db.session import Database

LOCK = 0x6B6F6E6E  # any constant. With the lock, machines that start together migrate one after the other.


def alembic_config(connection: Connection) -> Config:
    """Return Alembic's configuration for an open connection. It replaces an alembic.ini."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def migrate(database: Database) -> None:
    """Apply all missing migrations. Every process may call this at its start, even on several machines at a time.

    It does not change a database that a newer release has migrated. This release can still use such a database. Raise
    ConfigError if the database cannot store every name.
    """
    with database.engine.begin() as connection:
        if (encoding := connection.scalar(text("SHOW server_encoding"))) != "UTF8":
            raise ConfigError(f"The database has the encoding {encoding}. Create one with ENCODING 'UTF8'.")
        connection.execute(text("SET LOCAL lock_timeout = 0"))  # another machine's migration may take long
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        if not has_all(connection):
            command.upgrade(alembic_config(connection), "head")
        if connection.scalar(text("SELECT to_regclass('procrastinate_jobs')")) is None:
            connection.exec_driver_sql(SchemaManager.get_schema().replace("%", "%%"))
