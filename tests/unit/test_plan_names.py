"""The code names no plan, because every rule about plans follows from the catalogue."""

import ast
import re
from pathlib import Path

import pytest

from gateway.catalog import Catalog

ROOT = Path(__file__).parents[2]
# The story and the examples of the OpenAPI document show the shipped catalogue. The sandbox is Stripe.
EXEMPT = ("gateway/demo/", "gateway/sandbox/", "gateway/endpoints/examples.py", "gateway/endpoints/plan_examples.py")
SOURCES = [
    str(path.relative_to(ROOT))
    for folder in ("gateway", "handlers", "schemas")
    for path in (ROOT / folder).rglob("*.py")
    if not str(path.relative_to(ROOT)).startswith(EXEMPT)
]
FLOOR, *PAID = Catalog.load().plans
NAMES = re.compile(rf"\b({'|'.join(plan.key for plan in PAID)})\b|\b(on|to|of|for|from) {FLOOR.name}\b", re.IGNORECASE)


@pytest.mark.parametrize("source", SOURCES)
def test_no_plan_is_named(source: str) -> None:
    text = (ROOT / source).read_text(encoding="utf-8")
    words = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
    assert NAMES.search(text) is None
    assert FLOOR.key not in words
