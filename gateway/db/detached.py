"""Reads rows into objects that belong to no session. ``bulk.flush`` writes them.

The merge reads hundreds of rows at a time. The session's own bookkeeping takes several times as long as reading them.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import accumulate
from typing import Any, TypeVar

from sqlalchemy import Column, Executable, Row
from sqlalchemy.orm import ClassManager, Session, class_mapper

from gateway.db.models import Base

M = TypeVar("M", bound=Base)


def columns_of(*models: type[Base]) -> list[Column[Any]]:
    """Return all columns of the models, for a query that ``read`` or ``read_all`` executes."""
    return [column for model in models for column in Base.metadata.tables[model.__tablename__].columns]


def read_all(session: Session, model: type[M], query: Executable, parameters: Mapping[str, Any]) -> list[M]:
    """Return the rows of a query that selects the columns of one model."""
    return [build(model, values) for values in fetch(session, query, parameters)]


def read(
    session: Session, models: Sequence[type[Base]], query: Executable, parameters: Mapping[str, Any]
) -> Iterator[list[Any]]:
    """Yield each row of a query that selects the columns of the models and then others.

    A row has an object for each model, or None if an outer join found none, and then the other values. A joined row
    that comes several times is one object. A model's first column must be its primary key.
    """
    ends = list(accumulate(len(describe(model)[1]) for model in models))
    parts: list[tuple[type[Base], slice, dict[Any, Base | None]]] = [
        (model, slice(begin, end), {None: None}) for model, begin, end in zip(models, [0, *ends], ends, strict=False)
    ]
    for row in fetch(session, query, parameters):
        for model, part, built in parts:
            if row[part.start] not in built:
                built[row[part.start]] = build(model, row[part])
        yield [*(built[row[part.start]] for _, part, built in parts), *row[ends[-1] :]]


def fetch(session: Session, query: Executable, parameters: Mapping[str, Any]) -> Sequence[Row[Any]]:
    """Execute a query and return its rows, with what the caller has changed in the session."""
    session.flush()
    return session.connection().execute(query, parameters).all()


def build(model: type[M], values: Sequence[Any]) -> M:
    """Return an object with these values of its columns. SQLAlchemy notes only what is changed from now on."""
    manager, names = describe(model)
    built: M = manager.new_instance()
    vars(built).update(zip(names, values, strict=True))
    return built


@cache
def describe(model: type[M]) -> tuple[ClassManager[M], list[str]]:
    """Return what makes instances of a model, and the names of its columns."""
    return class_mapper(model).class_manager, [column.key for column in columns_of(model)]
