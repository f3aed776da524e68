"""Writing many rows with one statement a table: the session's own flush executes one for each changed row."""

from collections import defaultdict
from collections.abc import Sequence
from functools import cache

import orjson
from sqlalchemy import JSON, Column, Table, Text, bindparam, cast, func, select
from sqlalchemy import column as named
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.orm import Session

from gateway.db.models import Base, Json


def flush(session: Session, *models: type[Base]) -> None:
    """Write what is new or changed of these models, and let go of it: who needs it again reads it again."""
    changed: defaultdict[str, list[Base]] = defaultdict(list)
    for row in (*session.new, *session.dirty):
        if isinstance(row, models):
            changed[row.__tablename__].append(row)
    for table in Base.metadata.sorted_tables:  # what others refer to comes first
        if rows := changed[table.name]:
            names = [column.name for column in table.columns if not left_to_database(column, rows)]
            write(session, table, [{name: getattr(row, name) for name in names} for row in rows])
    for rows in changed.values():
        for row in rows:
            session.expunge(row)


def write(session: Session, table: Table, rows: Sequence[Json]) -> None:
    """Insert rows, or update the ones whose key is known: whole, all with the same columns, sent as one document."""
    if rows:
        document = orjson.dumps(rows).decode()
        session.connection().execute(upsert(table, tuple(rows[0])), {"rows": document})


@cache  # there are as many as tables and ways to leave columns to the database: a handful
def upsert(table: Table, names: tuple[str, ...]) -> Insert:
    """The statement that writes these columns of the rows in its parameter ``rows``."""
    sent = func.json_to_recordset(cast(bindparam("rows", type_=Text), JSON)).table_valued(
        *(named(name, table.columns[name].type) for name in names)
    )
    statement = insert(table).from_select(names, select(sent.render_derived(with_types=True)))
    others = [name for name in names if name not in table.primary_key.columns]
    update = {name: statement.excluded[name] for name in others}
    return statement.on_conflict_do_update(index_elements=table.primary_key.columns, set_=update)


def left_to_database(column: Column[object], rows: Sequence[Base]) -> bool:
    """Whether the database gives the value: a number of its own, or a default that no row overrides."""
    given = column.server_default is not None or column is column.table.autoincrement_column
    return given and all(getattr(row, column.name) is None for row in rows)
