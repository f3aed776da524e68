"""Writes rows of several tables with one statement. The session's own flush executes one statement per changed row."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any

import orjson
from sqlalchemy import JSON, Column, ColumnElement, DefaultClause, Table, Text, bindparam, cast, func, literal, select
from sqlalchemy import column as named
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.orm import Session

from gateway.db.models import Base, Json

Shape = tuple[tuple[Table, tuple[str, ...]], ...]  # each table with the columns that the statement writes
NOTHING: Mapping[Table, Sequence[Json]] = MappingProxyType({})


def flush(session: Session, *models: type[Base], more: Mapping[Table, Sequence[Json]] = NOTHING) -> None:
    """Write the new and changed rows of ``models``, and expunge them from the session.

    ``more`` holds rows of other tables to write in the same statement. All rows of a table have the same columns.
    """
    changed: defaultdict[Table, list[Base]] = defaultdict(list)
    for row in (*session.new, *session.dirty):
        if isinstance(row, models):
            changed[Base.metadata.tables[row.__tablename__]].append(row)
    rows = {table: added for table, added in more.items() if added}
    rows |= {table: documents(table, changed_rows) for table, changed_rows in changed.items()}
    if rows:
        # Sort the tables. Otherwise the same tables in another order would build a second cached statement.
        shape = tuple((table, tuple(rows[table][0])) for table in sorted(rows, key=lambda table: table.name))
        parameters = {table.name: orjson.dumps(rows[table]).decode() for table in rows}
        session.connection().execute(statement(shape), parameters)
    for changed_rows in changed.values():
        for row in changed_rows:
            session.expunge(row)


def documents(table: Table, rows: Sequence[Base]) -> list[Json]:
    """Return the rows as JSON objects, without the columns that the database fills in."""
    names = [column.name for column in table.columns if not left_to_database(column, rows)]
    return [{name: getattr(row, name) for name in names} for row in rows]


@cache  # only a handful of combinations of tables change together
def statement(shape: Shape) -> Insert:
    """Return one INSERT with the other tables' INSERTs as CTEs.

    Their order does not matter, because PostgreSQL checks foreign keys after the whole statement.
    """
    *others, last = [upsert(table, names) for table, names in shape]
    return last.add_cte(*(other.cte(f"into_{other.table.name}") for other in others))


def upsert(table: Table, names: tuple[str, ...]) -> Insert:
    """Return an upsert. Its rows come from the parameter named after the table.

    A row whose key exists is overwritten. A new row beside known ones may lack a value that the database supplies.
    """
    sent = func.json_to_recordset(cast(bindparam(table.name, type_=Text), JSON)).table_valued(
        *(named(name, table.columns[name].type) for name in names)
    )
    rows = sent.render_derived(with_types=True)
    values = [or_default(rows.c[name], table.columns[name]) for name in names]
    inserted = insert(table).from_select(names, select(*values))
    others = [name for name in names if name not in table.primary_key.columns]
    update = {name: inserted.excluded[name] for name in others}
    return inserted.on_conflict_do_update(index_elements=table.primary_key.columns, set_=update)


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
    return given and all(getattr(row, column.name) is None for row in rows)
