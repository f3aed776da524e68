"""Writes rows of several tables with one statement. A session's own flush executes one statement per changed row."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson
from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    DefaultClause,
    Table,
    TableValuedAlias,
    Text,
    Update,
    bindparam,
    cast,
    func,
    literal,
    select,
    update,
)
from sqlalchemy import column as named
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import instance_state

from gateway.db.models import Base
from gateway.db.prepared import Statement
from gateway.json_types import Json

NOTHING: Mapping[Table, Sequence[Json]] = MappingProxyType({})


class Part(NamedTuple):
    """The rows of one table that a statement writes in one way, and the columns that it writes."""

    table: Table
    columns: tuple[str, ...]
    is_known: bool
    """Whether the table has these rows already, so that only their changed columns are written."""

    @property
    def name(self) -> str:
        """Return the name of the parameter with the rows, and of the CTE."""
        return f"{self.table.name}_known" if self.is_known else self.table.name

    @property
    def size(self) -> str:
        """Return the name of the parameter with the number of rows."""
        return f"{self.name}_size"


def flush(session: Session, rows: Iterable[Base], more: Mapping[Table, Sequence[Json]] = NOTHING) -> None:
    """Write those of the ``rows`` that are new or changed. They belong to no session.

    ``more`` holds rows of other tables to write in the same statement. All rows of a table have the same columns.
    """
    new: defaultdict[Table, list[Base]] = defaultdict(list)
    known: defaultdict[Table, list[Base]] = defaultdict(list)
    for row in rows:
        if (state := instance_state(row)).modified:
            table = Base.metadata.tables[row.__tablename__]
            is_known = state.unmodified.issuperset(table.primary_key.columns.keys())
            (known if is_known else new)[table].append(row)
    written = {Part(table, tuple(added[0]), is_known=False): added for table, added in more.items() if added}
    written |= {part: documents(part, new[part.table]) for part in map(describe_new, new.items())}
    written |= {part: documents(part, known[part.table]) for part in map(describe_known, known.items())}
    if written:
        # Sort the parts. Otherwise the same ones in another order would build a second cached statement.
        shape = tuple(sorted(written, key=lambda part: part.name))
        parameters: Json = {part.name: orjson.dumps(values).decode() for part, values in written.items()}
        parameters |= {part.size: len(values) for part, values in written.items() if part.is_known}
        build_statement(shape).execute_in(session, parameters)


def describe_new(added: tuple[Table, Sequence[Base]]) -> Part:
    """Return the part of new rows, without the columns that the database fills in."""
    table, rows = added
    columns = tuple(column.name for column in table.columns if not left_to_database(column, rows))
    return Part(table, columns, is_known=False)


def describe_known(changed: tuple[Table, Sequence[Base]]) -> Part:
    """Return the part of rows that were read before, with the columns that have changed in one of them."""
    table, rows = changed
    same = set[str].intersection(*(instance_state(row).unmodified for row in rows))
    columns = tuple(column.name for column in table.columns if column.primary_key or column.name not in same)
    return Part(table, columns, is_known=True)


def documents(part: Part, rows: Iterable[Base]) -> list[Json]:
    """Return the rows as JSON objects."""
    return [{name: values.get(name) for name in part.columns} for values in map(Base.loaded, rows)]


@lru_cache(maxsize=500)  # mostly a handful of combinations of tables and columns change together
def build_statement(shape: tuple[Part, ...]) -> Statement:
    """Build one INSERT or UPDATE with the other parts as CTEs.

    Their order does not matter, because PostgreSQL checks foreign keys after the whole statement.
    """
    *others, last = [(part, update_known(part) if part.is_known else upsert(part)) for part in shape]
    return Statement(last[1].add_cte(*(write.cte(f"into_{part.name}") for part, write in others)))


def rows_of(part: Part) -> TableValuedAlias:
    """Return the rows in the part's parameter as a table."""
    sent = func.json_to_recordset(cast(bindparam(part.name, type_=Text), JSON)).table_valued(
        *(named(name, part.table.columns[name].type) for name in part.columns)
    )
    return sent.render_derived(with_types=True)


def update_known(part: Part) -> Update:
    """Return an UPDATE of the rows in the part's parameter.

    The limit changes nothing but the plan. Without it, PostgreSQL assumes a hundred rows and scans the table for them.
    """
    rows = select(rows_of(part)).limit(bindparam(part.size)).subquery()
    [key] = part.table.primary_key.columns
    values = {name: rows.c[name] for name in part.columns if name != key.name}
    return update(part.table).where(key == rows.c[key.name]).values(values)


def upsert(part: Part) -> Insert:
    """Return an upsert of the rows in the part's parameter.

    A row whose key exists is overwritten. A new row beside others may lack a value that the database supplies.
    """
    table, names, rows = part.table, part.columns, rows_of(part)
    values = [or_default(rows.c[name], table.columns[name]) for name in names]
    inserted = insert(table).from_select(names, select(*values))
    others = [name for name in names if name not in table.primary_key.columns]
    overwritten = {name: inserted.excluded[name] for name in others}
    return inserted.on_conflict_do_update(index_elements=table.primary_key.columns, set_=overwritten)


def or_default(sent: ColumnElement[Any], column: Column[object]) -> ColumnElement[Any]:
    """Return what was sent for a column, or the column's default where nothing was."""
    if column.nullable or not isinstance(column.server_default, DefaultClause):
        return sent
    default = column.server_default.arg
    # As text, because a JSON column would bind the string "[]" instead of an empty list.
    return func.coalesce(sent, cast(literal(default, Text), column.type) if isinstance(default, str) else default)


def left_to_database(column: Column[object], rows: Sequence[Base]) -> bool:
    """Return whether the database supplies the value, which is a sequence number or a default that no row overrides."""
    given = column.server_default is not None or column is column.table.autoincrement_column
    return given and all(row.loaded().get(column.name) is None for row in rows)
