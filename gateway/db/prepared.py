"""Execute a SELECT with the driver alone. SQLAlchemy's own execution takes longer than PostgreSQL's.

A statement is written with SQLAlchemy as any other, but compiled only once.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import BindParameter, ColumnElement, Select, inspect
from sqlalchemy.dialects.postgresql.psycopg import PGCompiler_psycopg, PGDialect_psycopg
from sqlalchemy.orm import Session

from gateway.db.session import Database


class Compiler(PGCompiler_psycopg):
    """Writes the constants of a statement into its text, so that PostgreSQL's plan may depend on them."""

    def visit_bindparam(self, bindparam: BindParameter[Any], **options: Any) -> str:  # type: ignore[override]  # passes all options on
        """Return the text of a parameter, or of a constant."""
        if not bindparam.required:
            options["literal_binds"] = True
        return str(super().visit_bindparam(bindparam, **options))  # type: ignore[no-untyped-call]  # SQLAlchemy's


DIALECT = PGDialect_psycopg()  # type: ignore[no-untyped-call]  # SQLAlchemy's
DIALECT.statement_compiler = Compiler


class Entity(NamedTuple):
    """A mapped class, whose columns are a part of each row."""

    model: type
    names: tuple[str, ...]
    columns: slice
    key: int
    """The place of the primary key. Its value is None if an outer join found nothing."""

    def build(self, row: tuple[Any, ...]) -> object | None:
        """Return an object with the values of ``row``."""
        if row[self.key] is None:
            return None
        built: object = object.__new__(self.model)
        built.__dict__ = dict(zip(self.names, row[self.columns], strict=True))
        return built


class Prepared:
    """A SELECT of mapped classes and columns.

    Its objects are only for reading. They belong to no session, and assigning to one raises AttributeError. Otherwise
    a caller could change one and expect that the session writes it.
    """

    def __init__(self, statement: Select[*tuple[Any, ...]]) -> None:
        """Compile the statement. Each of its parameters is a ``bindparam`` without a value."""
        self._parts: list[Entity | int] = []
        columns: list[ColumnElement[Any]] = []
        for each in statement.column_descriptions:
            start, shown = len(columns), each["expr"]
            if shown is not each["entity"]:
                columns.append(shown)
                self._parts.append(start)
                continue
            mapper = inspect(each["type"])
            names = tuple(mapper.column_attrs.keys())
            columns += [getattr(shown, name) for name in names]
            key = start + names.index(mapper.get_property_by_column(mapper.primary_key[0]).key)
            self._parts.append(Entity(each["type"], names, slice(start, len(columns)), key))
        self.sql = str(statement.with_only_columns(*columns).compile(dialect=DIALECT))

    def read(self, database: Database, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Return the rows. Raises DatabaseUnavailable."""
        return self._build(database.read(self.sql, parameters))

    def read_in(self, session: Session, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Return the rows in the session's transaction. They do not show what the session has not flushed yet."""
        driver: psycopg.Connection[tuple[Any, ...]] = session.connection().connection.driver_connection  # type: ignore[assignment]  # psycopg's
        return self._build(driver.execute(self.sql, parameters).fetchall())

    def _build(self, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        return [tuple(row[part] if isinstance(part, int) else part.build(row) for part in self._parts) for row in rows]
