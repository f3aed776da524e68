"""Rows of concurrent requests, committed together: a durable commit costs the same for one row as for many."""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Row = TypeVar("Row")


class _PendingRow(Generic[Row]):
    """A row whose request waits until it is committed, or until it is its turn to commit."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.finished = False
        self.error: Exception | None = None
        self.wake = threading.Lock()
        self.wake.acquire()


class GroupCommit(Generic[Row]):
    """Whoever comes first commits for all that wait by then; those that come meanwhile are the next group.

    There is no timer and no thread of its own: a lone request commits at once, and groups grow just as commits take
    longer. ``write`` gets a group and returns once it is committed; it is never called by two threads at a time.
    """

    def __init__(self, write: Callable[[Sequence[Row]], None]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._waiting: list[_PendingRow[Row]] = []
        self._busy = False

    def add(self, row: Row) -> None:
        """Return once the row is committed. Raises what ``write`` raised for it."""
        pending = _PendingRow(row)
        with self._lock:
            self._waiting.append(pending)
            wait, self._busy = self._busy, True
        if wait:
            pending.wake.acquire()
        if not pending.finished:
            self._commit_group()
        if pending.error is not None:
            raise pending.error

    def _commit_group(self) -> None:
        with self._lock:
            group, self._waiting = self._waiting, []
        if not self._write_group(group) and len(group) > 1:
            for each in group:  # one row's fault is not the others': each is tried alone
                self._write_group([each])
        with self._lock:
            following = self._waiting[:1]
            self._busy = bool(following)
        for each in (*group, *following):
            each.wake.release()

    def _write_group(self, group: list[_PendingRow[Row]]) -> bool:
        error = None
        try:
            self._write([each.row for each in group])
        except Exception as caught:  # noqa: BLE001 - whatever it was, the requests that wait for it raise it
            error = caught
        for each in group:
            each.finished, each.error = True, error
        return error is None
