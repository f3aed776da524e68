"""Limits of one process are counted without a thread and without a database."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.services.rate_limits import process_storage
from gateway.services.rate_limits.process_storage import PRUNE_EVERY, ProcessStorage

NOW = 1_800_000_000.0


@pytest.fixture
def storage(clock: list[float]) -> ProcessStorage:  # noqa: ARG001 - the storage reads the clock when it is made
    return ProcessStorage()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    present = [NOW]
    monkeypatch.setattr(process_storage, "read_clock", lambda: present[0])
    return present


def test_a_window_ends_and_another_begins(storage: ProcessStorage, clock: list[float]) -> None:
    assert [storage.incr("key", 60) for _ in range(3)] == [1, 2, 3]
    assert (storage.get("key"), storage.get_expiry("key")) == (3, NOW + 60)
    clock[0] += 60
    assert (storage.get("key"), storage.get_expiry("key")) == (0, NOW + 60)
    assert storage.incr("key", 60) == 1
    assert storage.get_expiry("key") == NOW + 120


def test_ended_windows_are_forgotten(storage: ProcessStorage, clock: list[float]) -> None:
    storage.incr("short", 1)
    storage.incr("long", 3600)
    clock[0] += PRUNE_EVERY
    storage.incr("new", 60)
    assert storage.reset() == 2
    assert storage.get("long") == 0


def test_a_count_can_be_forgotten(storage: ProcessStorage) -> None:
    storage.incr("one", 60)
    storage.clear("one")
    assert (storage.check(), storage.get("one")) == (True, 0)


def test_threads_count_exactly_and_start_no_thread(storage: ProcessStorage) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: storage.incr("key", 60), range(400)))
    before = threading.active_count()
    assert storage.incr("key", 60) == 401
    assert threading.active_count() == before
