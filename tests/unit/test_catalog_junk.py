"""No content of catalog.toml causes a traceback."""

import tomllib
from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import reduce
from operator import getitem
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.catalog import CatalogMistakes
from gateway.catalog.read import parse_catalog
from tests.support.catalogs import FIVE_PLANS


def list_places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value in tables and lists."""
    yield path
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for name, value in pairs:
        yield from list_places(value, (*path, name))


FIVE = tomllib.loads(FIVE_PLANS.read_text(encoding="utf-8"))
SCALARS = st.booleans() | st.integers(-2, 2**40) | st.floats() | st.text(max_size=3) | st.dates()
JUNK = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(max_size=3), SCALARS, max_size=2)


@example(path=("meters", 0), junk={"\n": False})
@example(path=("plans", 0, "key"), junk="a\n")
@given(st.sampled_from([path for path in list_places(FIVE) if path]), JUNK)
def test_no_value_causes_a_traceback(path: tuple[Any, ...], junk: Any) -> None:
    data = deepcopy(FIVE)
    parent = reduce(getitem, path[:-1], data)
    parent[path[-1]] = junk
    lines: Sequence[str] = ["catalog.toml: "]
    try:
        parse_catalog(data)
    except CatalogMistakes as mistakes:
        lines = mistakes.lines
    assert lines
    assert all(": " in line and "\n" not in line for line in lines)
