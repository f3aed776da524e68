"""The worker loses its listening connection, or its place in the queue. It merges on, also under steady load."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.faults.burst import Burst
from tests.faults.merged import assert_merged_once, one_event_each, pending
from tests.support.deployment import Deployment
from tests.support.postgres import END_LISTENER, refused_connections
from tests.support.wait import eventually

WORKERS = "SELECT coalesce(max(id), 0) FROM procrastinate_workers"
FAILED = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'failed'"


@contextmanager
def without_new_connections(server: str, database: str) -> Iterator[None]:
    """End the worker's connection that listens, and refuse new ones for the length of the block."""
    with psycopg.connect(server, autocommit=True) as admin, refused_connections(admin, database, END_LISTENER):
        yield


def reach_load(burst: Burst) -> None:
    burst.start()
    eventually(lambda: len(burst.acknowledged) > 200)


def assert_all_merged(stage: Deployment, burst: Burst, deliveries: Sequence[bytes]) -> None:
    assert burst.waiting > 0, "the burst ended too early"
    burst.finish(60)
    eventually(lambda: pending(stage) == 0)
    assert stage.number(FAILED) == 0
    assert_merged_once(stage, deliveries)


@pytest.mark.long
def test_worker_without_its_listener_merges_on(own: Deployment, server: str) -> None:
    deliveries = one_event_each(own, 6000)
    own.serve()
    worker = own.work()
    database = str(conninfo_to_dict(own.environment["GATEWAY_DATABASE_URL"])["dbname"])
    with Burst(own.port, deliveries) as burst:
        reach_load(burst)
        with without_new_connections(server, database):
            eventually(lambda: "listener_without_database" in worker.log())
            acknowledged = len(burst.acknowledged)
            eventually(lambda: len(burst.acknowledged) > acknowledged + 100)
        assert_all_merged(own, burst, deliveries)
    assert worker.alive


@pytest.mark.long
def test_worker_taken_for_dead_starts_again_under_load(own: Deployment) -> None:
    deliveries = one_event_each(own, 6000)
    own.serve()
    worker = own.work()
    before = own.number(WORKERS)
    with Burst(own.port, deliveries) as burst:
        reach_load(burst)
        own.rows("DELETE FROM procrastinate_workers")  # as another worker does that starts after an outage
        eventually(lambda: own.number(WORKERS) > before, 10)
        assert_all_merged(own, burst, deliveries)
    assert worker.alive
