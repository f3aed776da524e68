"""The reference pages name every setting, metric, error code and endpoint, and none that does not exist."""

import ast
import json
import re
from typing import Any

import pytest

from gateway.problems import KNOWN
from tests.support.documents import DOCUMENTS, ROOT, Document, document, name_of, table_rows
from tests.support.metric_names import METRIC, read_metrics

INTERFACE: dict[str, Any] = json.loads((ROOT / "docs/interface.json").read_text(encoding="utf-8"))
OPENAPI: dict[str, Any] = json.loads((ROOT / "docs/openapi.json").read_text(encoding="utf-8"))
SETTING = re.compile(r"\b(?:GATEWAY|STRIPE)_[A-Z_]+\b")
ENDPOINT = re.compile(r"`(GET|POST|PUT|PATCH|DELETE) (/(?:ofrep/)?v1/[^`]*)`")


def read_settings() -> set[str]:
    """Return the names that ``gateway/config.py`` reads from the environment."""
    tree = ast.parse((ROOT / "gateway/config.py").read_text(encoding="utf-8"))
    calls = [each for each in ast.walk(tree) if isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute)]
    of_env = [each for each in calls if isinstance(each.func, ast.Attribute) and is_named(each.func.value, "env")]
    return {str(each.args[0].value) for each in of_env if each.args and isinstance(each.args[0], ast.Constant)}


def is_named(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def test_configuration_lists_every_setting() -> None:
    page = document("docs/configuration.md")
    assert {SETTING.findall(cells[0])[0] for cells in table_rows(page.text)} == read_settings()


@pytest.mark.parametrize("each", DOCUMENTS, ids=name_of)
def test_documents_name_only_settings_that_exist(each: Document) -> None:
    assert set(SETTING.findall(each.text)) <= read_settings()


def test_going_live_lists_what_a_restricted_key_may_do() -> None:
    section = document("docs/going-live.md").section("Permissions of a restricted key")
    code = "".join(each.read_text(encoding="utf-8") for each in (ROOT / "gateway/services").rglob("*.py"))
    called = {name.replace("_", " ") for name in re.findall(r"\bstripe\.v1\.([a-z_]+)", code)}
    assert len(called) > 15
    assert {each for each in called - {"billing", "billing portal"} if each not in section} == set()


def test_monitoring_lists_every_metric() -> None:
    rows = table_rows(document("docs/monitoring.md").section("Metrics"))
    assert {METRIC.findall(cells[0])[0] for cells in rows} == read_metrics()


@pytest.mark.parametrize("each", DOCUMENTS, ids=name_of)
def test_documents_name_only_metrics_that_exist(each: Document) -> None:
    assert set(METRIC.findall(each.text)) <= read_metrics()


def test_monitoring_shows_the_labels_of_every_metric() -> None:
    rows = table_rows(document("docs/monitoring.md").section("Metrics"))
    found = re.findall(r"`(gateway_[a-z_]+?)(?:_total)?(?:\{([a-z,]+)\})?`", " ".join(cells[0] for cells in rows))
    described = {name: sorted(filter(None, labels.split(","))) for name, labels in found}
    declared = {name: each["labels"] for name, each in INTERFACE["metrics"].items() if each["type"] == "gauge"}
    assert {name: described[name] for name in declared} == declared


def test_api_lists_every_error_code_with_its_status() -> None:
    rows = {cells[0].strip("`"): cells[1] for cells in table_rows(document("docs/api.md").section("Error codes"))}
    statuses = {code: str(status) for code, status in INTERFACE["error_codes"].items()}
    statuses |= {code: str(status) for status, (code, *_) in KNOWN.items()}
    assert rows == statuses | {"http_error": "any other 4xx"}


def test_api_lists_every_endpoint() -> None:
    described = {(method, path) for method, path in ENDPOINT.findall(document("docs/api.md").section("Endpoints"))}
    served = {(method.upper(), path) for path, each in OPENAPI["paths"].items() for method in each}
    methods = {"GET", "POST", "PUT", "PATCH", "DELETE"}
    assert described == {(method, path) for method, path in served if method in methods}
