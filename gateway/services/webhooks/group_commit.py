"""Commit the rows of concurrent requests together. A durable commit costs the same for one row as for many."""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from gateway.errors import DatabaseUnavailable

Row = TypeVar("Row")


class _PendingRow(Generic[Row]):
    """A row whose request waits until the row is committed, or until it must commit the next group itself."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.finished = False
        self.error: Exception | None = None
        self.wake = threading.Lock()
        self.wake.acquire()


class GroupCommit(Generic[Row]):
    """Commits rows in groups.

    The first request commits all waiting rows. Rows that arrive during its commit form the next group. There is no
    timer and no extra thread. A lone request commits immediately, and groups grow as commits take longer.

    ``write`` receives a group and returns once it is committed. Two threads never call it at the same time.
    """

    def __init__(self, write: Callable[[Sequence[Row]], None]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._waiting: list[_PendingRow[Row]] = []
        self._busy = False

    def add(self, row: Row) -> None:
        """Return once the row is committed. Raises the error that ``write`` raised for it."""
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
        error = self._write_group(group)
        # One bad row must not fail the others, so each is tried alone. Without the database, all would fail again.
        if error is not None and not isinstance(error, DatabaseUnavailable) and len(group) > 1:
            for each in group:
                self._write_group([each])
        with self._lock:
            following = self._waiting[:1]
            self._busy = bool(following)
        for each in (*group, *following):
            each.wake.release()

    def _write_group(self, group: list[_PendingRow[Row]]) -> Exception | None:
        error = None
        try:
            self._write([each.row for each in group])
        except Exception as caught:  # noqa: BLE001 - the requests that wait for these rows raise it
            error = caught
        for each in group:
            each.finished, each.error = True, error
        return error
