"""The database's clock decides for every process."""

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.db import session as sessions
from gateway.db.session import Database
from gateway.services.operations.status import load_status
from gateway.services.operations.worker_reports import report_worker
from tests.support.metrics import scrape
from tests.support.world import World

LATER = timedelta(minutes=10)


@pytest.fixture
def ahead(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Open a database whose clock is ahead of this machine's."""
    options = f"{sessions.CONNECT['options']} -c gateway.now={(datetime.now(UTC) + LATER).isoformat()}"
    monkeypatch.setattr(sessions, "CONNECT", {**sessions.CONNECT, "options": options})
    with closing(Database(world.gateway.config.database_url)) as database:
        yield database


def test_time_is_the_databases(ahead: Database) -> None:
    assert LATER - timedelta(seconds=5) < ahead.now() - datetime.now(UTC) <= LATER + timedelta(seconds=5)


def test_time_does_not_waver_with_each_reading(world: World) -> None:
    clock = world.gateway.database._clock  # noqa: SLF001 - its offset shows each correction
    offsets = set()
    for _ in range(100):
        with world.gateway.database.engine.connect() as connection:
            clock.read(connection.connection.driver_connection)  # type: ignore[arg-type]  # SQLAlchemy's is wider
        offsets.add(clock._ahead)  # noqa: SLF001 - as above
    assert len(offsets) < 20  # a short round trip corrects longer ones, and leaves less to correct


def test_worker_with_a_wrong_clock_is_named_until_it_is_right(world: World, ahead: Database) -> None:
    later = replace(world.gateway, database=ahead, clock=ahead.now)
    report_worker(later, 0)
    [found] = load_status(later).wrong_clocks
    assert found.startswith(f"clock of worker {os.getpid()} on ")
    assert found.endswith("600 seconds behind the database's")
    assert scrape(later)["gateway_worker_clocks_wrong"] == 1
    report_worker(replace(later, clock=lambda: datetime.now(UTC)), 0)  # this machine's clock has been set
    assert load_status(later).wrong_clocks == []
