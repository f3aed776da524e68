"""How many statements a plan change executes. Each one is a round trip while a person waits."""

import pytest

from tests.support.api import ApiClient
from tests.support.counted_statements import counted


def test_plan_change_takes_twelve_statements(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    api.ok("PATCH", "/subscription", plan="plus")  # the first change also prepares what later ones share
    with counted(monkeypatch) as statements:
        api.ok("PATCH", "/subscription", quantity=2)
    assert len(statements) == 12, statements
