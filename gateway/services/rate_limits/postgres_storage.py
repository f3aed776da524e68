"""The storage in PostgreSQL that Flask-Limiter counts in. The library ``limits`` has none for PostgreSQL."""

import time
from collections.abc import Iterable, Mapping
from threading import local
from types import MappingProxyType
from typing import Any

import psycopg
from limits.storage import Storage
from sqlalchemy import delete

from gateway.db.models import RateLimitCount
from gateway.db.session import Database
from gateway.errors import DatabaseUnavailable
from gateway.services.rate_limits.counts import COUNT, FIND, Window, build_parameters, read_windows

SCHEME = "gateway-postgresql"
NOTHING = Window(count=0, seconds=0)


class Request(local):
    """The windows in which this thread's present request was counted, by key."""

    windows: Mapping[str, Window] = MappingProxyType({})


class PostgresStorage(Storage):
    """Counts for fixed windows. ``limits`` finds the class by its scheme and passes the storage options on.

    Flask-Limiter counts under one key after the other, and then asks for each window. A request would cost nine
    statements that way. ``begin_request`` counts under all keys with one statement and keeps the result until
    ``end_request``. The methods that Flask-Limiter calls in between need no statement.
    """

    STORAGE_SCHEME = [SCHEME]  # noqa: RUF012 - the base class declares it so

    def __init__(self, uri: str | None = None, *, database: Database, wrap_exceptions: bool = False) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions)
        self._database = database
        self._request = Request()

    @property
    def base_exceptions(self) -> type[Exception]:
        """The error of a storage that fails. ``gateway.problems`` renders it as 503."""
        return DatabaseUnavailable

    def begin_request(self, windows: Iterable[tuple[str, int]]) -> None:
        """Count one request under each key. Raise DatabaseUnavailable.

        ``windows`` are pairs of a key and its window's length in seconds.
        """
        self._request.windows = self._count(windows, 1)

    def end_request(self) -> None:
        """Forget the windows of this thread's request."""
        self._request.windows = Request.windows

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Return the count after counting ``amount``. ``begin_request`` has counted the request's keys already."""
        if key in self._request.windows:
            return self._request.windows[key].count
        return self._count([(key, expiry)], amount)[key].count

    def get(self, key: str) -> int:
        """Return the count of the present window."""
        return self._find(key).count

    def get_expiry(self, key: str) -> float:
        """Return the Unix time at which the window ends."""
        return time.time() + self._find(key).seconds

    def check(self) -> bool:
        """Return whether the database answers."""
        try:
            self._database.read("SELECT 1", {})
        except DatabaseUnavailable:
            return False
        return True

    def reset(self) -> int:
        """Forget all counts, and return how many there were."""
        return self._database.execute(delete(RateLimitCount))

    def clear(self, key: str) -> None:
        """Forget one count."""
        self._database.execute(delete(RateLimitCount).where(RateLimitCount.key == key))

    def _count(self, windows: Iterable[tuple[str, int]], amount: int) -> dict[str, Window]:
        return self._fetch(COUNT, build_parameters(windows, amount))

    def _find(self, key: str) -> Window:
        if key in self._request.windows:
            return self._request.windows[key]
        return self._fetch(FIND, {"keys": [key]}).get(key, NOTHING)

    def _fetch(self, statement: str, parameters: dict[str, Any]) -> dict[str, Window]:
        """Run a statement and return the windows that it finds. Raise DatabaseUnavailable if it fails in any way.

        The caller then gets 503, even if only this table is missing. All limited writes need the database anyway.
        """
        try:
            return read_windows(self._database.read(statement, parameters))
        except psycopg.Error as error:
            raise DatabaseUnavailable("The request cannot be counted. Please try again.") from error
