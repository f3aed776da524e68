"""A dedicated connection for single statements that commit by themselves."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result

from gateway.db.session import UNREACHABLE, Database, is_busy, is_outage
from gateway.errors import DatabaseUnavailable

# Every request that writes waits for the statement in progress, so a locked table would soon hold all threads.
LOCK_TIMEOUT = "SET lock_timeout = '2s'"
# The timeout after a statement failed on a lock, until one succeeds. With the longer one, requests would arrive faster
# than they fail.
SHORT_TIMEOUT = "SET lock_timeout = '100ms'"
Parameter: TypeAlias = bytes | None  # PostgreSQL's text of a value, raw bytes for the binary format, or NULL


class Writer:
    """A connection outside the pool, for one thread at a time. The first statement opens it.

    A transaction through the pool takes three round trips to begin, execute and commit. A connection that was idle
    takes a fourth. The writer takes one, which matters at a thousand statements a second. It adapts no parameters and
    reads no rows, so it calls libpq's prepared execution directly. That takes half the time of a cursor.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: psycopg.Connection[Any] | None = None
        self._names: dict[bytes, bytes] = {}  # the prepared statements of this connection
        self._is_locked = False

    def execute(self, statement: bytes, parameters: Sequence[Parameter], formats: Sequence[int]) -> int:
        """Execute and commit an INSERT, UPDATE or DELETE, and return the number of rows.

        The statement names its parameters $1, $2 and so on. ``formats`` has 0 (text) or 1 (binary) for each parameter.
        The statement must be safe to execute twice. If the database closed the connection, for example by a restart,
        the writer opens another connection and retries the statement once. Raise DatabaseUnavailable, also if the
        statement waits longer than the lock timeout. Then the caller does not know whether the statement committed.
        """
        was_open = self._connection is not None
        try:
            return self._execute(statement, parameters, formats)
        except psycopg.Error as error:
            self.close()
            if is_busy(error):
                self._is_locked = True
                raise DatabaseUnavailable("The table is locked. Please try again.") from error
            if not is_outage(error):
                raise
            if not was_open:
                raise DatabaseUnavailable(UNREACHABLE) from error
        try:
            return self._execute(statement, parameters, formats)
        except psycopg.OperationalError as error:
            self.close()
            raise DatabaseUnavailable(UNREACHABLE) from error

    def close(self) -> None:
        """Close the connection. The next statement opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._names.clear()

    def _execute(self, statement: bytes, parameters: Sequence[Parameter], formats: Sequence[int]) -> int:
        if self._connection is None:
            self._connection = self._database.connect()
            with self._database.answers.expected_from(self._connection):
                self._connection.execute(SHORT_TIMEOUT if self._is_locked else LOCK_TIMEOUT)
        libpq = self._connection.pgconn
        with self._database.answers.expected_from(self._connection):
            if statement not in self._names:
                name = str(len(self._names)).encode()
                require_success(libpq.prepare(name, statement))
                self._names[statement] = name
            result = libpq.exec_prepared(self._names[statement], parameters, formats)  # type: ignore[arg-type]  # its type forbids NULL
            rows = require_success(result).command_tuples or 0
            if self._is_locked:
                self._connection.execute(LOCK_TIMEOUT)
                self._is_locked = False
        return rows


def require_success(result: pq.abc.PGresult) -> pq.abc.PGresult:
    """Return ``result``. Raise psycopg's error if ``result`` is one."""
    if result.status == pq.ExecStatus.COMMAND_OK:
        return result
    error = error_from_result(result)
    # An error without a SQLSTATE comes from libpq. The connection is lost, even if psycopg has not noticed it yet.
    raise error if error.sqlstate is not None else psycopg.OperationalError(str(error))
