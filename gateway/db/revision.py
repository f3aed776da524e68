"""Whether a database has all migrations of this release. A web process asks that, and needs no Alembic for it."""

from pathlib import Path

from sqlalchemy import Connection, text

from gateway.db.session import Database

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = max(each.name[:4] for each in MIGRATIONS.glob("versions/[0-9]*.py"))
"""The last revision in the migrations folder. A file's name begins with its revision."""


def is_migrated(database: Database) -> bool:
    """Return whether the database has every migration of this release. Raise DatabaseUnavailable."""
    with database.reading() as session:
        return has_all(session.connection())


def has_all(connection: Connection) -> bool:
    """Return the same for an open connection. A newer release's revision has a higher number and also counts."""
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return False
    return (connection.scalar(text("SELECT version_num FROM alembic_version")) or "") >= HEAD
