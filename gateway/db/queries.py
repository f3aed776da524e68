"""Conditions that several queries share."""

from collections.abc import Iterable

from sqlalchemy import ARRAY, ColumnElement, Text, any_, bindparam
from sqlalchemy.orm import InstrumentedAttribute

Column = ColumnElement[str] | InstrumentedAttribute[str] | InstrumentedAttribute[str | None]


def among(column: Column, values: Iterable[str]) -> ColumnElement[bool]:
    """Return ``column = ANY(values)``.

    It has one parameter for any number of values. With IN, each number of values would be another prepared statement.
    """
    return column == any_(bindparam(None, list(values), type_=ARRAY(Text)))


def among_those(column: Column, parameter: str) -> ColumnElement[bool]:
    """Return ``column = ANY(:parameter)`` for a statement that is built once. Each execution passes a list."""
    return column == any_(bindparam(parameter, type_=ARRAY(Text)))
