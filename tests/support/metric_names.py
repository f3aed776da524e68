"""The names of all metrics, as a scrape shows them."""

import ast
import json
import re
from typing import Any

from tests.support.documents import ROOT

METRIC = re.compile(r"\bgateway_[a-z_]+\b")


def read_metrics() -> set[str]:
    """Return the names of the counts and of the gauges."""
    interface: dict[str, Any] = json.loads((ROOT / "docs/interface.json").read_text(encoding="utf-8"))
    counters = {name for name, each in interface["metrics"].items() if each["type"] == "counter"}
    tree = ast.parse((ROOT / "gateway/endpoints/metrics.py").read_text(encoding="utf-8"))
    words = {str(each.value) for each in ast.walk(tree) if isinstance(each, ast.Constant)}
    gauges = {word for word in words if METRIC.fullmatch(word)}
    return (set(interface["metrics"]) - counters) | gauges | {f"{name}_total" for name in counters}
