"""A real browser on a running gateway, which the tests of this folder share.

Playwright keeps an event loop in this thread, in which no other loop can run. So it must end before other tests begin.
"""

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from playwright.sync_api import BrowserContext, sync_playwright

from gateway.db.migrate import migrate
from gateway.db.session import Database
from tests.conftest import POSTGRES
from tests.support.deployment import Deployment, deployed
from tests.support.visitor import Visitor

BROWSER = shutil.which("chromium")
SKIPPED = "no browser is installed (apt-get install chromium)"
CATALOG = Path(__file__).parents[2] / "gateway/catalog.toml"
_numbers = itertools.count()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip these tests where no browser is installed. CI installs one, so they never skip there."""
    if BROWSER is None and os.environ.get("CI") != "true":
        folder = Path(__file__).parent
        for item in items:
            if folder in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=SKIPPED))


@pytest.fixture(scope="package")
def context() -> Iterator[BrowserContext]:
    """Start Debian's Chromium. The tests share its cache, and each one has tabs of its own."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        shared = started.new_context(locale="en-US", timezone_id="UTC")
        shared.set_default_timeout(10_000)
        yield shared
        started.close()


@pytest.fixture(scope="package")
def deployment(request: pytest.FixtureRequest, worker_id: str) -> Iterator[Deployment]:
    """Run web and worker on a database of their own, with the catalogue that the gateway ships."""
    server = request.config.stash[POSTGRES]
    name = f"browser_{worker_id}"
    url = server.replace("/gateway?", f"/{name}?")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        database = Database(url)
        migrate(database)
        database.close()
        with TemporaryDirectory(prefix="gateway-tests-") as path, deployed(url, Path(path), CATALOG) as set_up:
            set_up.serve()
            set_up.work()
            yield set_up
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def visitor(context: BrowserContext, deployment: Deployment) -> Iterator[Visitor]:
    """Open a tab for a new organization. Fail if the page logs an error or breaks its own policy."""
    found = Visitor(deployment, context, f"org_browser_{next(_numbers)}")
    yield found
    deployment.end_faults()
    context.set_offline(False)
    for page in context.pages:
        page.close()
    assert found.errors == []
