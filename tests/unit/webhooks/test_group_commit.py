"""The next commit stores all rows that arrive while a commit is in progress."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from gateway.services.webhooks.group_commit import GroupCommit


class HeldStore:
    """Records the groups. It blocks the first group until ``resume`` is set, so that other rows queue behind it."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.started, self.resume = threading.Event(), threading.Event()
        self.writing = threading.Lock()

    def write(self, rows: Sequence[int]) -> None:
        assert self.writing.acquire(blocking=False), "the store writes two groups at a time"
        self.groups.append(list(rows))
        if len(self.groups) == 1:
            self.started.set()
            assert self.resume.wait(10)
        self.writing.release()
        if 13 in rows:
            raise ValueError("unlucky")


def commit(commits: GroupCommit[int], row: int) -> None:
    """Add a row and wait for it, as a thread does."""
    commits.wait(commits.add(row))


def add_during_first_commit(
    store: HeldStore, commits: GroupCommit[int], pool: ThreadPoolExecutor, rows: range
) -> list[Future[None]]:
    """Add row 0, and add the other rows while the store commits it."""
    first = pool.submit(commit, commits, 0)
    assert store.started.wait(10)
    others = [pool.submit(commit, commits, row) for row in rows]
    while len(commits._added) < len(rows):  # noqa: SLF001 - there is no public way to see that they wait
        pass
    store.resume.set()
    return [first, *others]


def test_rows_that_arrive_during_a_commit_form_the_next_group() -> None:
    store = HeldStore()
    commits = GroupCommit(store.write)
    with ThreadPoolExecutor(9) as pool:
        for each in add_during_first_commit(store, commits, pool, range(1, 9)):
            each.result(10)
    assert [sorted(group) for group in store.groups] == [[0], [1, 2, 3, 4, 5, 6, 7, 8]]


def test_a_failing_row_fails_alone() -> None:
    store = HeldStore()
    commits = GroupCommit(store.write)
    with ThreadPoolExecutor(4) as pool:
        done = add_during_first_commit(store, commits, pool, range(12, 15))
        assert [each.exception(10) is None for each in done] == [True, True, False, True]
    commit(commits, 15)
    assert store.groups[-1] == [15]


def test_a_lone_row_is_committed_immediately_or_raises() -> None:
    store = HeldStore()
    store.resume.set()
    commits = GroupCommit(store.write)
    commit(commits, 1)
    with pytest.raises(ValueError, match="unlucky"):
        commit(commits, 13)
    assert store.groups == [[1], [13]]


def test_rows_that_are_added_before_anyone_waits_form_one_group() -> None:
    store = HeldStore()
    store.resume.set()
    commits = GroupCommit(store.write)
    added = [commits.add(row) for row in range(12, 16)]
    results = []
    for each in added:
        try:
            commits.wait(each)
        except ValueError as error:
            results.append(str(error))
        else:
            results.append("stored")
    assert store.groups == [[12, 13, 14, 15], [12], [13], [14], [15]]
    assert results == ["stored", "unlucky", "stored", "stored"]


def test_under_load_each_row_is_written_before_the_wait_ends() -> None:
    written: set[int] = set()
    commits = GroupCommit(written.update)

    def request(row: int) -> bool:
        commit(commits, row)
        return row in written

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(request, range(5000)))
    assert len(written) == 5000
