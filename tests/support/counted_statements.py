"""Collects the SQL statements that the code under test executes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from gateway.db.clock import READ


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Collect the statements of this thread at the driver, which also sees Procrastinate's statements.

    Leave out the reading of the clock, which also checks a connection and is made only after a pause.
    """
    seen: list[str] = []
    mine = threading.get_ident()
    execute, executemany = psycopg.Cursor.execute, psycopg.Cursor.executemany

    def note(query: object, times: int) -> None:
        if threading.get_ident() == mine and str(query) != READ:
            seen.extend([str(query)] * times)

    def one(cursor: psycopg.Cursor[Any], query: Any, *args: Any, **options: Any) -> Any:
        note(query, 1)
        return execute(cursor, query, *args, **options)

    def many(cursor: psycopg.Cursor[Any], query: Any, rows: Any, **options: Any) -> None:
        note(query, len(rows))
        executemany(cursor, query, rows, **options)

    with monkeypatch.context() as driver:
        driver.setattr(psycopg.Cursor, "execute", one)
        driver.setattr(psycopg.Cursor, "executemany", many)
        yield seen
