"""Deployments for the fault tests. Tests that kill something get their own, and the others share one."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

from gateway.db.migrate import migrate
from gateway.db.session import Database
from tests.conftest import POSTGRES
from tests.support.catalogs import write_catalog
from tests.support.deployment import Deployment, deployed
from tests.support.postgres import Crashing, crashing_postgres

_numbers = itertools.count()

NewDatabase = Callable[[str], AbstractContextManager[str]]


@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    """Create a directory for logs and the server.

    Each new pytest run closes pytest's own directory to other users, and PostgreSQL may run as another user.
    """
    with TemporaryDirectory(prefix="gateway-tests-") as path:
        yield Path(path)


@pytest.fixture(scope="session")
def new_database(worker_id: str) -> NewDatabase:
    """Return a context manager that creates a migrated database on a server and drops it at the end.

    Migrations run once per server, and each database is a copy of that result.
    """
    migrated: set[str] = set()

    @contextmanager
    def make(server: str) -> Iterator[str]:
        template, name = f"faults_{worker_id}", f"faults_{worker_id}_{next(_numbers)}"
        with psycopg.connect(server, autocommit=True) as connection:
            if server not in migrated:
                connection.execute(f"CREATE DATABASE {template}")
                database = Database(on(server, template))
                migrate(database)
                database.close()
                migrated.add(server)
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield on(server, name)
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    return make


def on(server: str, database: str) -> str:
    """Return the URL of another database on the server."""
    return server.replace("/gateway?", f"/{database}?")


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> str:
    """Return the URL of the server that all tests share."""
    return request.config.stash[POSTGRES]


@pytest.fixture(scope="session")
def postgres(directory: Path) -> Iterator[Crashing]:
    """Run a server that tests may crash."""
    with crashing_postgres(directory / "pg") as crashing:
        yield crashing


@pytest.fixture
def catalog() -> Path | None:
    """Return None for the usual catalogue. A module with another one has a fixture of this name."""
    return None


@pytest.fixture
def own(new_database: NewDatabase, server: str, directory: Path, catalog: Path | None) -> Iterator[Deployment]:
    """Set up a deployment for one test. The test starts its processes."""
    with (
        new_database(server) as url,
        TemporaryDirectory(dir=directory) as logs,
        deployed(url, Path(logs), catalog) as set_up,
    ):
        yield set_up


@pytest.fixture(scope="session")
def at_once(directory: Path) -> Path:
    """Write a catalogue in which Plus is charged immediately."""
    return write_catalog(directory / "charged_at_once.toml", charge="now")


@pytest.fixture
def own_at_once(new_database: NewDatabase, server: str, directory: Path, at_once: Path) -> Iterator[Deployment]:
    """Set up a deployment for one test, with Plus charged immediately. The test starts its processes."""
    with (
        new_database(server) as url,
        TemporaryDirectory(dir=directory) as logs,
        deployed(url, Path(logs), at_once) as set_up,
    ):
        yield set_up


@pytest.fixture(scope="session")
def shared(new_database: NewDatabase, server: str, directory: Path) -> Iterator[Deployment]:
    """Run web and worker for all tests that kill nothing. Each test must use its own organizations."""
    with new_database(server) as url, TemporaryDirectory(dir=directory) as logs, deployed(url, Path(logs)) as set_up:
        set_up.serve()
        set_up.work()
        yield set_up


@pytest.fixture
def running(shared: Deployment) -> Iterator[Deployment]:
    """Return the shared deployment and remove the test's sandbox faults afterwards."""
    yield shared
    shared.end_faults()


@pytest.fixture
def no_traceback(running: Deployment) -> Iterator[None]:
    """Fail if anything that a test sends leaves a traceback in a log."""
    before = len(running.said())
    yield
    assert "Traceback" not in running.said()[before:]
