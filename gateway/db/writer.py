"""One connection for statements that commit by themselves."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result

from gateway.db.session import Database, is_outage
from gateway.errors import DatabaseUnavailable

Parameter: TypeAlias = bytes | None  # PostgreSQL's text of a value, or NULL; raw bytes where the format says binary


class Writer:
    """A connection outside the pool, opened by the first statement and kept; for one thread at a time.

    A transaction through the pool begins, executes and commits: three round trips, and one more after a rest. Where one
    statement is all, and a thousand a second are wanted, this is one; and since nothing has to be adapted or read back,
    it is libpq's own prepared execution, which takes half of what a cursor costs.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: psycopg.Connection[Any] | None = None
        self._names: dict[bytes, bytes] = {}  # of what this connection has prepared

    def execute(self, statement: bytes, parameters: Sequence[Parameter], formats: Sequence[int]) -> int:
        """Execute and commit an INSERT, UPDATE or DELETE; gives the number of rows.

        Parameters stand in the statement as $1, $2 …; ``formats`` says of each whether it is text (0) or binary (1).
        Raises DatabaseUnavailable, and then it may be committed or not. The statement must do no harm
        if it is executed twice: a connection that the database closed meanwhile, as it does when it restarts, is
        replaced, and the statement tried once more.
        """
        try:
            return self._execute(statement, parameters, formats)
        except psycopg.OperationalError as error:
            self.close()
            if not is_outage(error):
                raise
        try:
            return self._execute(statement, parameters, formats)
        except psycopg.OperationalError as error:
            self.close()
            raise DatabaseUnavailable("The database cannot be reached; please try again.") from error

    def close(self) -> None:
        """Close the connection; the next statement opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._names.clear()

    def _execute(self, statement: bytes, parameters: Sequence[Parameter], formats: Sequence[int]) -> int:
        if self._connection is None:
            self._connection = self._database.connect()
        libpq = self._connection.pgconn
        if statement not in self._names:
            name = str(len(self._names)).encode()
            succeeded(libpq.prepare(name, statement))
            self._names[statement] = name
        result = libpq.exec_prepared(self._names[statement], parameters, formats)  # type: ignore[arg-type]  # no NULL there
        return succeeded(result).command_tuples or 0


def succeeded(result: pq.abc.PGresult) -> pq.abc.PGresult:
    """The result, unless it is an error: then psycopg's is raised for it."""
    if result.status == pq.ExecStatus.COMMAND_OK:
        return result
    error = error_from_result(result)
    # Without a SQLSTATE it is libpq's own: the connection is lost, perhaps without its knowing that as yet.
    raise error if error.sqlstate is not None else psycopg.OperationalError(str(error))
