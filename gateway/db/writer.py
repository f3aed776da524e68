"""One connection for statements that commit by themselves."""

from collections.abc import Sequence
from typing import Any, LiteralString

import psycopg

from gateway.db.session import Database, is_outage
from gateway.errors import DatabaseUnavailable


class Writer:
    """A connection outside the pool, opened by the first statement and kept; for one thread at a time.

    A transaction through the pool asks whether the connection lives, begins, executes and commits: four round trips.
    Where one statement is all, and a thousand a second are wanted, this is one.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: psycopg.Connection[Any] | None = None

    def execute(self, statement: LiteralString, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        """Execute and commit; gives the rows. Raises DatabaseUnavailable, and then it may be committed or not.

        The statement must do no harm if it is executed twice: a connection that the database closed meanwhile, as it
        does when it restarts, is replaced, and the statement tried once more.
        """
        try:
            return self._execute(statement, parameters)
        except psycopg.OperationalError as error:
            self.close()
            if not is_outage(error):
                raise
        try:
            return self._execute(statement, parameters)
        except psycopg.OperationalError as error:
            self.close()
            raise DatabaseUnavailable("The database cannot be reached; please try again.") from error

    def close(self) -> None:
        """Close the connection; the next statement opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _execute(self, statement: LiteralString, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        if self._connection is None:
            self._connection = self._database.connect()
        return self._connection.execute(statement, parameters).fetchall()
