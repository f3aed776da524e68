"""Ends connections whose statement gets no answer.

A server or a proxy that hangs still acknowledges what it receives, so no timeout of TCP acts. PostgreSQL's own timeouts
act only on a statement that has arrived.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import structlog

LIMIT = 20  # seconds from checkout to return. No request's transaction takes that long.

log = structlog.get_logger()


class AnswerWatch:
    """Knows which connections of a process are in use, and for how long."""

    def __init__(self) -> None:
        self._seconds: dict[psycopg.Connection[Any], list[int]] = {}  # a list, so that counting never adds an entry

    def begin(self, connection: psycopg.Connection[Any]) -> None:
        """Expect answers from now on."""
        self._seconds[connection] = [0]

    def end(self, connection: psycopg.Connection[Any] | None) -> None:
        """Expect no more answers."""
        if connection is not None:
            self._seconds.pop(connection, None)

    @contextmanager
    def expected_from(self, connection: psycopg.Connection[Any]) -> Iterator[None]:
        """Expect answers for the length of the block."""
        self.begin(connection)
        try:
            yield
        finally:
            self.end(connection)

    def watch(self) -> None:
        """Count seconds until the process ends. A suspended process counts none."""
        never = threading.Event()
        while not never.wait(1):
            self.count_second()

    def count_second(self) -> None:
        """Count a second for each connection in use, and hang up those that reach the limit."""
        for connection, seconds in self._seconds.copy().items():
            if connection.closed:  # SQLAlchemy does not return a connection that it has given up
                self.end(connection)
                continue
            seconds[0] += 1
            if seconds[0] == LIMIT and self._seconds.get(connection) is seconds:  # the connection is still in use
                log.warning("database_silent", seconds=LIMIT)
                hang_up(connection)


def hang_up(connection: psycopg.Connection[Any]) -> None:
    """Shut the connection's socket down. The thread that waits for an answer gets an error, as from a lost server."""
    with (
        suppress(psycopg.OperationalError, OSError),  # the connection has just ended
        socket.socket(fileno=os.dup(connection.fileno())) as copy,
    ):
        copy.shutdown(socket.SHUT_RDWR)
