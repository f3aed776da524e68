"""Find out whether a connection pooler, such as PgBouncer, breaks what the gateway needs of a database session.

The gateway prepares statements, listens, and gives each session settings. A pooler may give each transaction another
session of PostgreSQL, or drop or refuse the settings. Then requests fail, but only under load.
https://www.pgbouncer.org/features.html
"""

from contextlib import suppress
from typing import Any

import psycopg

from gateway.config import ConfigError
from gateway.db.session import SESSION_SETTINGS, Database, translate_outages
from gateway.errors import DatabaseUnavailable

PROBES = 3
"""The number of tries. Other clients of the pooler can hide the exchange of a session from one try."""
REFUSED = "unsupported startup parameter"
"""How PgBouncer refuses the session settings."""
SHARES_SESSIONS = (
    "GATEWAY_DATABASE_URL leads to a connection pooler that gives each transaction another session,"
    " so set its pool_mode to session, or connect to PostgreSQL directly."
)
DROPS_SETTINGS = (
    "GATEWAY_DATABASE_URL leads to a connection pooler that does not pass on the session settings"
    f" {' and '.join(SESSION_SETTINGS)}, so set them for the database role, or connect to PostgreSQL directly."
)
REFUSES_SETTINGS = (
    "GATEWAY_DATABASE_URL leads to a connection pooler that refuses session settings,"
    " so let it ignore the startup parameter `options`, or connect to PostgreSQL directly."
)


def refuse_pooler(database: Database) -> None:
    """Raise ConfigError if a pooler breaks the sessions. A database that cannot be reached is no error here."""
    with suppress(DatabaseUnavailable):
        if (problem := find_pooler_problem(database)) is not None:
            raise ConfigError(problem)


def find_pooler_problem(database: Database) -> str | None:
    """Return what a pooler breaks and what to do, in one sentence, or None. Raise DatabaseUnavailable."""
    with translate_outages():
        try:
            first = database.connect()
        except psycopg.OperationalError as error:
            if REFUSED in str(error):
                return REFUSES_SETTINGS
            raise
        with first, database.connect() as second:
            if any(shares_sessions(first, second) for _ in range(PROBES)):
                return SHARES_SESSIONS
            return None if keeps_settings(first) else DROPS_SETTINGS


def shares_sessions(first: psycopg.Connection[Any], second: psycopg.Connection[Any]) -> bool:
    """Return whether one connection gets the session of the other, or another session than before."""
    before = read_backend(first)
    try:
        with second.transaction():
            return read_backend(second) == before or read_backend(first) != before
    except psycopg.errors.ProtocolViolation:  # a pooler that gives each statement another session allows no transaction
        return True


def read_backend(connection: psycopg.Connection[Any]) -> int:
    """Return the process of PostgreSQL that serves a connection now."""
    row = connection.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    return int(row[0]) if row is not None else 0


def keeps_settings(connection: psycopg.Connection[Any]) -> bool:
    """Return whether the session has the settings that the gateway gives each connection."""
    return all(
        connection.execute("SELECT current_setting(%s)", [name], prepare=False).fetchone() == (value,)
        for name, value in SESSION_SETTINGS.items()
    )
