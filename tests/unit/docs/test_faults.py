"""The table of faults in docs/operations.md names every fault that `make chaos` causes."""

from tests.chaos.__main__ import TABLE
from tests.chaos.faults import FAULTS
from tests.support.documents import document


def test_table_names_every_fault() -> None:
    found = TABLE.search(document("docs/operations.md").text)
    assert found is not None
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in found[0].splitlines()[2:]]
    assert [(name, happens, advice) for name, happens, _, advice in rows] == [
        (each.name, each.happens, each.advice) for each in FAULTS
    ]
