"""Execute statements with the driver alone. SQLAlchemy's own execution takes longer than PostgreSQL's.

A statement is written with SQLAlchemy as any other, but compiled only once.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import psycopg
from sqlalchemy import BindParameter, ColumnElement, Insert, Select, TextClause, Update, inspect
from sqlalchemy.dialects.postgresql.psycopg import PGCompiler_psycopg, PGDialect_psycopg
from sqlalchemy.orm import ClassManager, Session

from gateway.db.session import Database

Row: TypeAlias = tuple[Any, ...]


class Compiler(PGCompiler_psycopg):
    """Writes the constants of a statement into its text, so that PostgreSQL's plan may depend on them."""

    def visit_bindparam(self, bindparam: BindParameter[Any], **options: Any) -> str:  # type: ignore[override]  # passes all options on
        """Return the text of a parameter, or of a constant."""
        if not bindparam.required:
            options["literal_binds"] = True
        return str(super().visit_bindparam(bindparam, **options))  # type: ignore[no-untyped-call]  # SQLAlchemy's


# PostgreSQL's own notation of parameters. In any other, psycopg would parse a long statement with each execution.
DIALECT = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]  # SQLAlchemy's
DIALECT.statement_compiler = Compiler


class Statement:
    """A compiled statement. Each of its parameters is a ``bindparam`` without a value."""

    def __init__(self, statement: Select[*tuple[Any, ...]] | Insert | Update | TextClause) -> None:
        """Compile the statement."""
        compiled: Any = statement.compile(dialect=DIALECT)
        self.sql = str(compiled)
        self.names: Sequence[str] = compiled.positiontup
        """The names of the parameters, in the order of their numbers."""

    def execute_in(self, session: Session, parameters: Mapping[str, Any]) -> psycopg.RawCursor[Row]:
        """Execute it in the session's transaction. It does not see what the session has not flushed yet."""
        driver: psycopg.Connection[Row] = session.connection().connection.driver_connection  # type: ignore[assignment]  # psycopg's
        return self._execute(driver, parameters)

    def _execute(self, driver: psycopg.Connection[Row], parameters: Mapping[str, Any]) -> psycopg.RawCursor[Row]:
        # In the binary format, neither side converts times to text, and PostgreSQL sends payloads half as long.
        return psycopg.RawCursor(driver).execute(self.sql, [parameters[name] for name in self.names], binary=True)


class Entity(NamedTuple):
    """A mapped class, whose columns are a part of each row."""

    manager: ClassManager[Any]
    names: tuple[str, ...]
    columns: slice
    key: int
    """The place of the primary key. Its value is None if an outer join found nothing."""

    def show(self, row: Row) -> object:
        """Return an object that is only for reading."""
        shown: object = object.__new__(self.manager.class_)
        shown.__dict__ = dict(zip(self.names, row[self.columns], strict=True))
        return shown

    def load(self, row: Row) -> object:
        """Return an object that records its changes from now on."""
        loaded: object = self.manager.new_instance()
        vars(loaded).update(zip(self.names, row[self.columns], strict=True))
        return loaded


class Prepared(Statement):
    """A SELECT of mapped classes and columns. A row has None for a class if an outer join found nothing."""

    def __init__(self, statement: Select[*tuple[Any, ...]], *, without: Container[str] = ()) -> None:
        """Compile the statement, which does not select the columns of a class whose names are in ``without``.

        Each column takes time at both ends. Reading one that was left out raises UnmappedInstanceError.
        """
        self._parts: list[Entity | int] = []
        columns: list[ColumnElement[Any]] = []
        for each in statement.column_descriptions:
            start, shown = len(columns), each["expr"]
            if shown is not each["entity"]:
                columns.append(shown)
                self._parts.append(start)
                continue
            mapper = inspect(each["type"])
            primary = mapper.get_property_by_column(mapper.primary_key[0]).key
            names = tuple(name for name in mapper.column_attrs.keys() if name == primary or name not in without)  # noqa: SIM118 - no dictionary
            columns += [getattr(shown, name) for name in names]
            key = start + names.index(primary)
            self._parts.append(Entity(mapper.class_manager, names, slice(start, len(columns)), key))
        super().__init__(statement.with_only_columns(*columns))

    def read(self, database: Database, parameters: Mapping[str, Any]) -> list[Row]:
        """Return the rows, as ``read_in`` does. Raise DatabaseUnavailable."""
        with database.driver() as driver:
            return self._build(self._execute(driver, parameters).fetchall(), Entity.show)

    def read_in(self, session: Session, parameters: Mapping[str, Any]) -> list[Row]:
        """Return the rows in the session's transaction. They do not show what the session has not flushed yet.

        Their objects belong to no session, and assigning to one raises AttributeError. Otherwise a caller could change
        one and expect that the session writes it.
        """
        return self._build(self.execute_in(session, parameters).fetchall(), Entity.show)

    def load(self, session: Session, parameters: Mapping[str, Any]) -> list[Row]:
        """Return rows whose objects the caller may change and pass to ``bulk.flush``. They belong to no session.

        A session's own bookkeeping takes several times as long as reading them. If a joined row comes several times,
        it is one object.
        """
        session.flush()
        loaded: dict[tuple[ClassManager[Any], Any], object] = {}

        def load_once(entity: Entity, row: Row) -> object:
            identity = entity.manager, row[entity.key]
            if identity not in loaded:
                loaded[identity] = entity.load(row)
            return loaded[identity]

        return self._build(self.execute_in(session, parameters).fetchall(), load_once)

    def _build(self, rows: Sequence[Row], build: Callable[[Entity, Row], object]) -> list[Row]:
        def show(row: Row, part: Entity | int) -> object:
            if isinstance(part, int):
                return row[part]
            return build(part, row) if row[part.key] is not None else None

        return [tuple(show(row, part) for part in self._parts) for row in rows]
