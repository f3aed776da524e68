"""A real browser on a running gateway, which the tests of this folder share. Most of them use the same tab.

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
from playwright.sync_api import BrowserContext, Page, sync_playwright

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
    """Start Debian's Chromium. The tests share its cache."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        shared = started.new_context(locale="en-US", timezone_id="UTC")
        shared.set_default_timeout(10_000)
        yield shared
        started.close()


@pytest.fixture(scope="package")
def errors(context: BrowserContext) -> list[str]:
    """Collect the errors of all tabs, and what breaks the page's own policy."""
    found: list[str] = []
    context.on("weberror", lambda each: found.append(str(each.error)))
    context.on("console", lambda each: found.append(each.text) if "Content Security Policy" in each.text else None)
    return found


@pytest.fixture(scope="package")
def tab(context: BrowserContext) -> Page:
    """Open the tab that the tests share, because a new one takes longer than a view of the page."""
    return context.new_page()


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
def visitor(deployment: Deployment, tab: Page, errors: list[str]) -> Iterator[Visitor]:
    """Clear the tab for a new organization. Fail if the page logs an error or breaks its own policy."""
    tab.goto(f"http://127.0.0.1:{deployment.port}/billing/static/texts/en.json")
    tab.evaluate("sessionStorage.clear()")
    tab.set_viewport_size({"width": 1280, "height": 720})
    yield Visitor(deployment, tab, f"org_browser_{next(_numbers)}")
    deployment.end_faults()
    tab.context.set_offline(False)
    for page in tab.context.pages:
        if page != tab:
            page.close()
    found = errors.copy()
    errors.clear()
    assert found == []
