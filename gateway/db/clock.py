"""The database's clock. It decides which work is due, because the clocks of two machines may differ."""

import time
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import errors

READ = "SELECT extract(epoch FROM gateway_now())::float8"
READ_EVERY = 5.0  # seconds


class DatabaseClock:
    """Returns the database's time. It asks the database now and then, and counts on by itself in between."""

    def __init__(self) -> None:
        self._ahead: float | None = None  # of this process's monotonic clock, in seconds
        self._read_at = 0.0

    @property
    def is_old(self) -> bool:
        """Return whether the database should be asked again, because its clock may have been set."""
        return time.monotonic() - self._read_at >= READ_EVERY

    def __call__(self) -> datetime:
        """Return the time in UTC. It is this machine's time until the database was asked."""
        if self._ahead is None:
            return datetime.now(UTC)
        return datetime.fromtimestamp(time.monotonic() + self._ahead, UTC)

    def read(self, connection: psycopg.Connection[Any]) -> None:
        """Ask the database. Raise psycopg's error if the connection is dead."""
        autocommit = connection.autocommit
        connection.autocommit = True  # otherwise a transaction would begin
        began = time.monotonic()
        try:
            [(now,)] = connection.execute(READ).fetchall()
        except errors.UndefinedFunction:  # `gateway migrate` has not created it yet
            return
        finally:
            if not connection.closed:
                connection.autocommit = autocommit
        self._read_at = time.monotonic()
        # The database read its clock at some moment of the round trip. Keep the difference while it may be right.
        # Otherwise the time would go back and forth by the length of a round trip.
        earliest, latest = now - self._read_at, now - began
        if self._ahead is None or not earliest <= self._ahead <= latest:
            self._ahead = (earliest + latest) / 2
