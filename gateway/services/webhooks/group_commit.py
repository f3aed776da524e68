"""Commit the rows of concurrent requests together. A durable commit costs the same for one row as for many."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from gateway.errors import DatabaseUnavailable

Row = TypeVar("Row")


class GroupCommit(Generic[Row]):
    """Commits rows in groups.

    The first request that waits commits all rows that were added. Rows that are added during its commit form the next
    group. There is no timer and no extra thread. A lone request commits immediately, and groups grow as commits take
    longer.

    ``write`` receives a group and returns once it is committed. Two threads never call it at the same time.
    """

    def __init__(self, write: Callable[[Sequence[Row]], None]) -> None:
        self._write = write
        self._turn = threading.Lock()
        self._added: deque[PendingRow[Row]] = deque()

    def add(self, row: Row) -> "PendingRow[Row]":
        """Let a row join the next group. Only ``wait`` says that it is committed."""
        pending = PendingRow(row)
        self._added.append(pending)
        return pending

    def wait(self, pending: "PendingRow[Row]") -> None:
        """Return once the row is committed. Raise the error that ``write`` raised for it."""
        with self._turn:
            if not pending.finished:
                self._commit_group()
        if pending.error is not None:
            raise pending.error

    def _commit_group(self) -> None:
        group = [self._added.popleft() for _ in range(len(self._added))]
        error = self._write_group(group)
        # One bad row must not fail the others, so each is tried alone. Without the database, all would fail again.
        if error is not None and not isinstance(error, DatabaseUnavailable) and len(group) > 1:
            for each in group:
                self._write_group([each])

    def _write_group(self, group: "Sequence[PendingRow[Row]]") -> Exception | None:
        error = None
        try:
            self._write([each.row for each in group])
        except Exception as caught:  # noqa: BLE001 - the requests that wait for these rows raise it
            error = caught
        for each in group:
            each.finished, each.error = True, error
        return error


class PendingRow(Generic[Row]):
    """A row that is added to a group, and what became of it."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.finished = False
        self.error: Exception | None = None
