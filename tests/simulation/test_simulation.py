"""Whole systems live for months, and what must hold does hold. ``make simulate`` lets them live longer."""

import logging
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.simulation.invariants import check_events, digest
from tests.simulation.one_clock import in_one_time
from tests.simulation.simulation import Simulation
from tests.support.clock import DAY


@pytest.fixture(autouse=True)
def no_logs() -> Iterator[None]:
    """Log nothing. A year has many thousand lines."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def live(database_url: str, seed: int, years: float) -> str:
    """Live for some years, and return the digest of everything."""
    simulation = Simulation(database_url, seed, organizations=3, pause=3, interference=4)
    try:
        simulation.run(years)
        return digest(simulation)
    finally:
        simulation.close()


@contextmanager
def disturbed(database_url: str) -> Iterator[None]:
    """Let a thread draw ids, as one that an earlier test has left. Let PostgreSQL choose other plans than before."""
    ended = threading.Event()

    def run() -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            while not ended.wait(0.1):
                uuid.uuid4()
                connection.execute("ANALYZE")

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_seed_gives_the_same_run_to_the_last_row(database_url: str) -> None:
    first = live(database_url, 3, 0.04)
    with disturbed(database_url):
        assert live(database_url, 3, 0.04) == first


def test_events_of_the_last_second_arrive_before_the_checks(database_url: str) -> None:
    simulation = Simulation(database_url, 1, organizations=0)

    def create_customer() -> None:
        simulation.stripe.v1.customers.create({"name": "Late"})

    try:
        with in_one_time(simulation.clock, simulation.random):
            simulation.begin()
            simulation.plan(4 * DAY, create_customer)
            simulation.settle()
            assert simulation.stripe.events[-1]["data"]["object"]["name"] == "Late"
            check_events(simulation)
    finally:
        simulation.close()


def test_everything_holds_after_weeks(database_url: str) -> None:
    live(database_url, 2, 0.12)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
def test_everything_holds_after_a_year(seed: int, database_url: str) -> None:
    live(database_url, seed, 1)
