"""What is measured, on real parts: PostgreSQL with durable commits, gunicorn as ``gateway serve`` has it, a worker."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from gateway.cli import OPTIONS
from gateway.db.migrate import migrate
from gateway.db.session import Database
from gateway.demo.postgres import embedded_postgres

SECRET = "whsec_benchmark"
WORKERS, THREADS = 2, 8


@dataclass
class Rig:
    """A migrated database, and how to run processes on it."""

    url: str
    logs: Path
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.environment = {
            **os.environ,
            "GATEWAY_DATABASE_URL": self.url,
            "GATEWAY_JWT_DEVELOPMENT_SECRET": "a secret of this benchmark alone, no other",
            "STRIPE_SECRET_KEY": "sk_test_benchmark",
            "STRIPE_API_BASE": "http://127.0.0.1:9",
            "STRIPE_WEBHOOK_SECRETS": SECRET,
        }

    def connect(self) -> psycopg.Connection:
        """A connection of the benchmark's own, committing each statement."""
        return psycopg.connect(self.url, autocommit=True)

    @contextmanager
    def web(self, application: str) -> Iterator[int]:
        """Gunicorn serving ``application`` (``wsgi:app`` is the gateway); gives its port."""
        port = _free_port()
        arguments = ["--worker-class=gthread", f"--workers={WORKERS}", f"--threads={THREADS}"]
        quiet = [option for option in OPTIONS if "access-log" not in option]
        command = ["-m", "gunicorn", *arguments, *quiet, f"--bind=127.0.0.1:{port}", application]
        with self.process(application, command):
            _await_port(port)
            yield port

    @contextmanager
    def worker(self) -> Iterator[None]:
        """``gateway worker``."""
        with self.process("worker", ["-m", "gateway", "worker"]):
            yield

    @contextmanager
    def process(self, name: str, arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
        """A Python process, ended with the block."""
        with (self.logs / f"{name}.log").open("ab") as log:
            child = subprocess.Popen([sys.executable, *arguments], env=self.environment, stdout=log, stderr=log)
        try:
            yield child
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait(30)


@contextmanager
def rig() -> Iterator[Rig]:
    """Everything in a temporary directory."""
    with TemporaryDirectory(prefix="gateway-bench-") as directory, embedded_postgres(Path(directory) / "pg") as url:
        database = Database(url)
        migrate(database)
        database.close()
        with psycopg.connect(url, autocommit=True) as connection:
            commits = connection.execute("SHOW synchronous_commit").fetchone()
            assert commits == ("on",), "a commit that is not durable is no acknowledgement"
        yield Rig(url, Path(directory))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _await_port(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def now() -> int:
    """Unix seconds."""
    return int(datetime.now(UTC).timestamp())
