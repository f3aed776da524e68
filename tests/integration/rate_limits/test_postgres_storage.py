"""Limits are counted exactly, from however many threads and processes, with one statement."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.strategies import FixedWindowRateLimiter
from sqlalchemy import text

from gateway.db.models import RateLimitCount
from gateway.errors import DatabaseUnavailable
from gateway.services.operations import retention
from gateway.services.rate_limits.postgres_storage import PostgresStorage
from tests.support.counted_statements import counted
from tests.support.world import World

ITEM: RateLimitItem = RateLimitItemPerMinute(50)
HITS = 100  # of each of two processes
OTHER_PROCESS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from limits import RateLimitItemPerMinute
from limits.strategies import FixedWindowRateLimiter
from gateway.db.session import Database
from gateway.services.rate_limits.postgres_storage import PostgresStorage

limiter = FixedWindowRateLimiter(PostgresStorage(database=Database(sys.argv[1])))
with ThreadPoolExecutor(8) as pool:
    print(sum(pool.map(lambda _: limiter.hit(RateLimitItemPerMinute(50), "shared"), range(int(sys.argv[2])))))
"""


@pytest.fixture
def storage(world: World) -> PostgresStorage:
    return PostgresStorage(database=world.gateway.database)


def end_windows(world: World) -> None:
    with world.gateway.database.transaction() as session:
        session.execute(text("UPDATE rate_limit_counts SET expires_at = expires_at - interval '61 seconds'"))


def test_two_processes_with_many_threads_let_exactly_the_limit_pass(world: World, storage: PostgresStorage) -> None:
    command = [sys.executable, "-c", OTHER_PROCESS, world.gateway.config.database_url, str(HITS)]
    limiter = FixedWindowRateLimiter(storage)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other, ThreadPoolExecutor(8) as pool:
        passed = sum(pool.map(lambda _: limiter.hit(ITEM, "shared"), range(HITS)))
        printed, _ = other.communicate(timeout=60)
    assert passed + int(printed) == ITEM.amount
    assert [row.count for row in world.rows(RateLimitCount)] == [2 * HITS]


def test_requests_that_share_keys_in_any_order_do_not_deadlock(storage: PostgresStorage) -> None:
    keys = [(f"key_{number}", 60) for number in range(5)]

    def count(number: int) -> None:
        storage.begin_request(keys if number % 2 else keys[::-1])
        storage.end_request()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(200)))
    assert {storage.get(key) for key, _ in keys} == {200}


def test_a_window_ends_and_another_begins(world: World, storage: PostgresStorage) -> None:
    assert [storage.incr("key", 60) for _ in range(3)] == [1, 2, 3]
    end_windows(world)
    assert storage.get("key") == 0
    assert storage.incr("key", 60) == 1


def test_a_request_costs_one_statement_under_all_its_keys(
    storage: PostgresStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter = FixedWindowRateLimiter(storage)
    callers = ("organization", "user", "address")
    with counted(monkeypatch) as statements:
        storage.begin_request((ITEM.key_for(each), ITEM.get_expiry()) for each in callers)
        assert [limiter.hit(ITEM, each) for each in callers] == [True] * 3
        assert {limiter.get_window_stats(ITEM, each).remaining for each in callers} == {49}
    assert len(statements) == 1
    storage.end_request()
    assert storage.get(ITEM.key_for("user")) == 1


def test_the_next_request_of_a_thread_sees_nothing_of_the_last_one(storage: PostgresStorage) -> None:
    storage.begin_request([("key", 60)])
    storage.end_request()
    assert storage.incr("key", 60) == 2


def test_a_release_never_leads_below_zero(storage: PostgresStorage) -> None:
    assert storage.incr("key", 60, -1) == 0
    assert storage.incr("key", 60, 2) == 2
    assert storage.incr("key", 60, -5) == 0


def test_the_table_waits_for_no_disk(world: World) -> None:
    with world.gateway.database.transaction() as session:
        kind = session.scalar(text("SELECT relpersistence FROM pg_class WHERE relname = 'rate_limit_counts'"))
    assert kind == "u"


def test_the_storage_can_be_checked_and_emptied(storage: PostgresStorage) -> None:
    storage.incr("one", 60)
    storage.incr("other", 60)
    storage.clear("one")
    assert (storage.check(), storage.get("one"), storage.get("other")) == (True, 0, 1)
    assert storage.reset() == 1
    assert storage.get("other") == 0


def test_retention_deletes_the_windows_that_are_over(world: World, storage: PostgresStorage) -> None:
    storage.incr("old", 60)
    end_windows(world)
    storage.incr("new", 60)
    retention.prune(world.gateway)
    assert [row.key for row in world.rows(RateLimitCount)] == ["new"]


def test_any_failure_of_the_storage_is_an_outage(world: World, storage: PostgresStorage) -> None:
    with world.gateway.database.transaction() as session:
        session.execute(text("ALTER TABLE rate_limit_counts RENAME TO elsewhere"))
    try:
        with pytest.raises(DatabaseUnavailable):
            storage.incr("key", 60)
    finally:
        with world.gateway.database.transaction() as session:
            session.execute(text("ALTER TABLE elsewhere RENAME TO rate_limit_counts"))
