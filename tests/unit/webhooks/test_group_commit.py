"""Requests that arrive while a commit is on its way are committed together by the next one."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from gateway.services.webhooks.group_commit import GroupCommit


class HeldStore:
    """Keeps groups; holds the first one up until it is let go, so that others gather behind it."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.at_once = 0
        self.alone = threading.Lock()

    def write(self, rows: Sequence[int]) -> None:
        assert self.alone.acquire(blocking=False), "two groups at a time"
        self.groups.append(list(rows))
        if len(self.groups) == 1:
            self.begun.set()
            assert self.go_on.wait(10)
        self.alone.release()
        if 13 in rows:
            raise ValueError("unlucky")


def add_behind(
    store: HeldStore, commits: GroupCommit[int], pool: ThreadPoolExecutor, rows: range
) -> list[Future[None]]:
    """Add row 0, and the others while it is being committed."""
    first = pool.submit(commits.add, 0)
    assert store.begun.wait(10)
    others = [pool.submit(commits.add, row) for row in rows]
    while len(commits._waiting) < len(rows):  # noqa: SLF001 - no other way to see that they wait
        pass
    store.go_on.set()
    return [first, *others]


def test_what_arrives_during_a_commit_is_the_next_group() -> None:
    store = HeldStore()
    commits = GroupCommit(store.write)
    with ThreadPoolExecutor(9) as pool:
        for each in add_behind(store, commits, pool, range(1, 9)):
            each.result(10)
    assert [sorted(group) for group in store.groups] == [[0], [1, 2, 3, 4, 5, 6, 7, 8]]


def test_a_row_that_fails_fails_alone() -> None:
    store = HeldStore()
    commits = GroupCommit(store.write)
    with ThreadPoolExecutor(4) as pool:
        done = add_behind(store, commits, pool, range(12, 15))
        assert [each.exception(10) is None for each in done] == [True, True, False, True]
    commits.add(15)
    assert store.groups[-1] == [15]


def test_a_lone_row_is_committed_at_once_and_its_error_raised() -> None:
    store = HeldStore()
    store.go_on.set()
    commits = GroupCommit(store.write)
    commits.add(1)
    with pytest.raises(ValueError, match="unlucky"):
        commits.add(13)
    assert store.groups == [[1], [13]]


def test_under_load_every_row_is_written_once_before_its_request_goes_on() -> None:
    written: set[int] = set()
    commits = GroupCommit(written.update)

    def request(row: int) -> bool:
        commits.add(row)
        return row in written

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(request, range(5000)))
    assert len(written) == 5000
