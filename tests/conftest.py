"""One embedded PostgreSQL serves the whole run. Each parallel worker has its own database."""

import logging
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from hypothesis import settings

from gateway.db.migrate import migrate
from gateway.db.session import Database
from gateway.demo.postgres import embedded_postgres
from gateway.demo.processes import DemoError
from gateway.gc_tuning import reduce_gc
from gateway.logging import configure_logging
from tests.support import compiled_routes
from tests.support.leaks import LeakDetector

HERE = Path(__file__).parent
# No test crashes the shared server, so it need not wait for the disk. Those that do start servers of their own. Each
# parallel worker keeps connections, and processes that its tests share.
SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_connections": 300}
POSTGRES = pytest.StashKey[str]()
RESOURCES = pytest.StashKey[ExitStack]()

# Other tests run on the same machine, so an example may exceed a deadline without being slow.
settings.register_profile("gateway", deadline=None)
settings.load_profile("gateway")


def pytest_configure(config: pytest.Config) -> None:
    """Start the server once, in the process that starts the parallel workers."""
    configure_logging(logging.INFO)
    compiled_routes.install()
    if hasattr(config, "workerinput"):
        config.stash[POSTGRES] = config.workerinput["postgres"]
        return
    resources = config.stash[RESOURCES] = ExitStack()
    directory = Path(resources.enter_context(TemporaryDirectory(prefix="gateway-tests-")))
    try:
        with embedded_postgres(directory / "pg") as server, psycopg.connect(server, autocommit=True) as connection:
            for setting, value in SETTINGS.items():
                connection.execute(f"ALTER SYSTEM SET {setting} = {value}")
        config.stash[POSTGRES] = resources.enter_context(embedded_postgres(directory / "pg", keep=True))
    except DemoError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the files of tests that mostly wait over the run. Other tests then use the processors."""
    total = Counter(is_waiting(each) for each in items)
    passed: Counter[bool] = Counter()
    place: dict[Path, float] = {}
    for each in items:
        passed[is_waiting(each)] += 1
        place.setdefault(each.path, passed[is_waiting(each)] / total[is_waiting(each)])
    items.sort(key=lambda each: place[each.path])  # the order within a file stays


def is_waiting(item: pytest.Item) -> bool:
    """Return whether a test mostly waits for other processes."""
    return item.path.relative_to(HERE).parts[0] in ("demo", "faults")


def pytest_collection_finish() -> None:
    """Collect garbage less often, as the gateway's own processes do. What is loaded by now stays."""
    reduce_gc()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server."""
    if RESOURCES in config.stash:
        config.stash[RESOURCES].close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Pass the server's address to each worker of pytest-xdist."""
    node.workerinput["postgres"] = node.config.stash[POSTGRES]  # type: ignore[attr-defined]  # xdist's, untyped


def pytest_xdist_auto_num_workers() -> int:
    """Return the number of parallel workers. Many tests wait for a process, so there are more than processors."""
    return (os.cpu_count() or 1) + 2


@pytest.fixture(autouse=True)
def clean_logs() -> Iterator[None]:
    """Fail a test that logs a secret, an e-mail address or card data. Show it the informative lines.

    A command in the test before may have raised the level, or removed the handlers.
    """
    logger, detector = logging.getLogger(), LeakDetector()
    logger.setLevel(logging.INFO)
    logger.addHandler(detector)
    yield
    logger.removeHandler(detector)
    assert detector.leaks == []


@pytest.fixture(scope="session")
def database_url(request: pytest.FixtureRequest, worker_id: str) -> str:
    """Create and migrate a database for this worker."""
    server = request.config.stash[POSTGRES]
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {worker_id}")
    url = server.replace("/gateway?", f"/{worker_id}?")
    database = Database(url)
    migrate(database)
    database.close()
    return url
