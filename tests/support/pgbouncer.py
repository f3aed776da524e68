"""Runs PgBouncer in front of a test's database."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.support.processes import await_port, free_port

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
IGNORES_SETTINGS = "ignore_startup_parameters = options"

needs_pgbouncer = pytest.mark.skipif(
    PGBOUNCER is None and os.environ.get("CI") != "true",
    reason="PgBouncer is not installed (apt-get install pgbouncer)",
)


@contextmanager
def pgbouncer(database_url: str, mode: str, *settings: str) -> Iterator[str]:
    """Run PgBouncer in a pool mode for the length of the block, and yield the URL of the same database through it."""
    assert PGBOUNCER is not None, "PgBouncer must be installed where CI=true"
    server, port = conninfo_to_dict(database_url), free_port()
    lines = (
        "[databases]",
        f"* = host={server['host']} user={server['user']}",
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        f"listen_port = {port}",
        "unix_socket_dir =",
        "auth_type = any",
        f"pool_mode = {mode}",
        *settings,
    )
    # It refuses to run as root, and PostgreSQL's socket belongs to the server's own user.
    user = [f"--user={Path(str(server['host'])).owner()}"] if os.geteuid() == 0 else []
    with TemporaryDirectory(prefix="gateway-pgbouncer-") as directory:
        Path(directory).chmod(0o755)  # that user reads the file
        configuration = Path(directory) / "pgbouncer.ini"
        configuration.write_text("\n".join(lines))
        command = [PGBOUNCER, "--quiet", *user, str(configuration)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                await_port(port)
                yield f"postgresql://{server['user']}@127.0.0.1:{port}/{server['dbname']}"
            finally:
                process.kill()
