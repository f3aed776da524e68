"""What several queries say."""

from collections.abc import Iterable

from sqlalchemy import ARRAY, ColumnElement, Text, any_, bindparam
from sqlalchemy.orm import InstrumentedAttribute

Column = ColumnElement[str] | InstrumentedAttribute[str] | InstrumentedAttribute[str | None]


def among(column: Column, values: Iterable[str]) -> ColumnElement[bool]:
    """``column = ANY(values)``: one parameter however many values; with IN each number of them is another statement."""
    return column == any_(bindparam(None, list(values), type_=ARRAY(Text)))


def among_those(column: Column, parameter: str) -> ColumnElement[bool]:
    """The same in a statement that is made once: the values, a list, are given when it is executed."""
    return column == any_(bindparam(parameter, type_=ARRAY(Text)))
