"""Databases and stages: one that the tests of input share, and one of its own for each test that kills."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

from gateway.db.migrate import migrate
from gateway.db.session import Database
from tests.conftest import POSTGRES
from tests.faults.postgres import Crashing, crashing_postgres
from tests.support.deployment import Deployment, deployed

_numbers = itertools.count()

NewDatabase = Callable[[str], AbstractContextManager[str]]


@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    """For logs and the server: not pytest's own, which each new run of pytest closes to other users."""
    with TemporaryDirectory(prefix="gateway-tests-") as path:
        yield Path(path)


@pytest.fixture(scope="session")
def new_database(worker_id: str) -> NewDatabase:
    """Makes a migrated database on a server, for the length of a block: a copy of one that is migrated once."""
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
    """The URL of another database of the same server."""
    return server.replace("/gateway?", f"/{database}?")


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> str:
    """The server that all tests share."""
    return request.config.stash[POSTGRES]


@pytest.fixture(scope="session")
def postgres(directory: Path) -> Iterator[Crashing]:
    """A server that may be crashed."""
    with crashing_postgres(directory / "pg") as crashing:
        yield crashing


@pytest.fixture
def own(new_database: NewDatabase, server: str, directory: Path) -> Iterator[Deployment]:
    """A stage for one test, without any process yet."""
    with new_database(server) as url, TemporaryDirectory(dir=directory) as logs, deployed(url, Path(logs)) as set_up:
        yield set_up


@pytest.fixture(scope="session")
def at_once(directory: Path) -> Path:
    """A catalogue whose Plus is charged at once."""
    shipped = files("gateway").joinpath("catalog.toml").read_text(encoding="utf-8")
    path = directory / "catalog.toml"
    path.write_text(shipped.replace('key = "plus"', 'key = "plus"\ncharge = "now"'), encoding="utf-8")
    return path


@pytest.fixture
def own_at_once(new_database: NewDatabase, server: str, directory: Path, at_once: Path) -> Iterator[Deployment]:
    """The same as ``own``, of a deployment whose Plus is charged at once."""
    with (
        new_database(server) as url,
        TemporaryDirectory(dir=directory) as logs,
        deployed(url, Path(logs), at_once) as set_up,
    ):
        yield set_up


@pytest.fixture(scope="session")
def shared(new_database: NewDatabase, server: str, directory: Path) -> Iterator[Deployment]:
    """A stage with web and worker, for tests that kill nothing: each has its own organizations."""
    with new_database(server) as url, TemporaryDirectory(dir=directory) as logs, deployed(url, Path(logs)) as set_up:
        set_up.serve()
        set_up.work()
        yield set_up


@pytest.fixture
def running(shared: Deployment) -> Iterator[Deployment]:
    """The shared stage, without faults of the sandbox's left behind."""
    yield shared
    shared.end_faults()
