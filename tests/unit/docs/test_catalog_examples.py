"""Each example of ``docs/catalog.md`` is a complete catalogue, and the tables name every key."""

import re
from pathlib import Path

import pytest

from gateway.catalog import Catalog
from gateway.catalog.schema import (
    CatalogTable,
    MeteredTable,
    MeterTable,
    PlanTable,
    PriceTable,
    Table,
)

DOCUMENT = (Path(__file__).parents[3] / "docs" / "catalog.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```toml\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
TABLES = {
    "top level": CatalogTable,
    "plan": PlanTable,
    "price": PriceTable,
    "metered": MeteredTable,
    "meter": MeterTable,
}


def test_there_are_three_examples() -> None:
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_whole_catalogue(tmp_path: Path, example: str) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text(example, encoding="utf-8")
    assert Catalog.load(path).floor.rank == min(plan.rank for plan in Catalog.load(path).plans)


@pytest.mark.parametrize(("heading", "schema"), TABLES.items(), ids=TABLES)
def test_the_tables_name_every_key(heading: str, schema: type[Table]) -> None:
    rows = DOCUMENT.split(f"| {heading} | value |\n")[1].split("\n\n")[0].splitlines()[1:]
    named = [key for row in rows for key in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(named) == sorted(schema().fields)
