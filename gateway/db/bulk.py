"""Writing many rows of many tables with one statement: the session's own flush executes one for each changed row."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType

import orjson
from sqlalchemy import JSON, Column, Table, Text, bindparam, cast, func, select
from sqlalchemy import column as named
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.orm import Session

from gateway.db.models import Base, Json

Shape = tuple[tuple[Table, tuple[str, ...]], ...]  # tables and the columns that are written
NOTHING: Mapping[Table, Sequence[Json]] = MappingProxyType({})


def flush(session: Session, *models: type[Base], more: Mapping[Table, Sequence[Json]] = NOTHING) -> None:
    """Write what is new or changed of these models, and let go of it: who needs it again reads it again.

    ``more``: rows to be written with them, of other tables, each with the same columns.
    """
    changed: defaultdict[Table, list[Base]] = defaultdict(list)
    for row in (*session.new, *session.dirty):
        if isinstance(row, models):
            changed[Base.metadata.tables[row.__tablename__]].append(row)
    rows = {table: added for table, added in more.items() if added}
    rows |= {table: documents(table, those) for table, those in changed.items()}
    if rows:
        # Sorted: the statement is cached by its shape.
        shape = tuple((table, tuple(rows[table][0])) for table in sorted(rows, key=lambda table: table.name))
        parameters = {table.name: orjson.dumps(rows[table]).decode() for table in rows}
        session.connection().execute(statement(shape), parameters)
    for those in changed.values():
        for row in those:
            session.expunge(row)


def documents(table: Table, rows: Sequence[Base]) -> list[Json]:
    """The rows as JSON objects, without what the database fills in."""
    names = [column.name for column in table.columns if not left_to_database(column, rows)]
    return [{name: getattr(row, name) for name in names} for row in rows]


@cache  # there are as many as combinations of tables that change together: a handful
def statement(shape: Shape) -> Insert:
    """One INSERT, with those of the other tables before it. Foreign keys are checked at the end of all of them."""
    *others, last = [upsert(table, names) for table, names in shape]
    return last.add_cte(*(other.cte(f"into_{other.table.name}") for other in others))


def upsert(table: Table, names: tuple[str, ...]) -> Insert:
    """Insert the rows in the parameter named after the table, or update, whole, the ones whose key is known."""
    sent = func.json_to_recordset(cast(bindparam(table.name, type_=Text), JSON)).table_valued(
        *(named(name, table.columns[name].type) for name in names)
    )
    inserted = insert(table).from_select(names, select(sent.render_derived(with_types=True)))
    others = [name for name in names if name not in table.primary_key.columns]
    update = {name: inserted.excluded[name] for name in others}
    return inserted.on_conflict_do_update(index_elements=table.primary_key.columns, set_=update)


def left_to_database(column: Column[object], rows: Sequence[Base]) -> bool:
    """Whether the database gives the value: a number of its own, or a default that no row overrides."""
    given = column.server_default is not None or column is column.table.autoincrement_column
    return given and all(getattr(row, column.name) is None for row in rows)
