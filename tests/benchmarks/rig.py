"""The real parts under measurement: PostgreSQL with durable commits, gunicorn as in ``gateway serve``, and a worker."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import psycopg

from gateway.config import COUNTS_DIRECTORY
from gateway.db.migrate import migrate
from gateway.db.session import Database
from gateway.demo.postgres import embedded_postgres
from tests.support.bulk_events import SECRET
from tests.support.processes import Process, await_port, free_port, gunicorn, running


@dataclass
class Rig:
    """A migrated database, and the processes that run on it."""

    url: str
    logs: Path
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.environment = {
            "GATEWAY_DATABASE_URL": self.url,
            "GATEWAY_JWT_DEVELOPMENT_SECRET": "a secret of this benchmark alone, no other",
            "STRIPE_SECRET_KEY": "sk_test_benchmark",
            "STRIPE_API_BASE": "http://127.0.0.1:9",
            "STRIPE_WEBHOOK_SECRETS": SECRET,
        }

    def connect(self) -> psycopg.Connection:
        """Open a connection that commits each statement."""
        return psycopg.connect(self.url, autocommit=True)

    @contextmanager
    def web(self, application: str) -> Iterator[int]:
        """Run gunicorn with ``application`` (``wsgi:app`` is the gateway), and yield its port."""
        port, counts = free_port(), self.logs / f"{application}.metrics"
        counts.mkdir(exist_ok=True)
        environment = self.environment | {COUNTS_DIRECTORY: str(counts)}
        with running(gunicorn(application, port), environment, self.logs / f"{application}.log"):
            await_port(port)
            yield port

    @contextmanager
    def worker(self) -> Iterator[Process]:
        """Run ``gateway worker``."""
        with running(["-m", "gateway", "worker"], self.environment, self.logs / "worker.log") as process:
            yield process


def find_web(port: int) -> psutil.Process:
    """Return gunicorn's first process of the application that listens on ``port``."""
    started = psutil.Process().children()
    return next(each for each in started if f"--bind=127.0.0.1:{port}" in each.cmdline())


@contextmanager
def rig() -> Iterator[Rig]:
    """Set up everything in a temporary directory."""
    with TemporaryDirectory(prefix="gateway-bench-") as directory, embedded_postgres(Path(directory) / "pg") as url:
        database = Database(url)
        migrate(database)
        database.close()
        with psycopg.connect(url, autocommit=True) as connection:
            commits = connection.execute("SHOW synchronous_commit").fetchone()
            assert commits == ("on",), "without durable commits, the benchmark acknowledges too early"
        yield Rig(url, Path(directory))
