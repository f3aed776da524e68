"""The files to deploy with are valid, and name what the gateway has."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # ships no types
from click.testing import CliRunner

from gateway.cli import cli
from tests.support.documents import ROOT, Document, document
from tests.support.metric_names import METRIC, read_metrics

DEPLOY = ROOT / "deploy"
RULES: list[dict[str, Any]] = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana/gateway.json").read_text(encoding="utf-8"))
UNITS = sorted((DEPLOY / "systemd").iterdir())
MANIFESTS: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "kubernetes/gateway.yaml").read_text()))
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SUFFIX = re.compile(r"_(?:bucket|count|sum)$")
in_ci = os.environ.get("CI") == "true"
PROMTOOL, ANALYZE = shutil.which("promtool"), shutil.which("systemd-analyze")


def test_alerts_use_only_metrics_that_exist() -> None:
    assert {name for rule in RULES for name in METRIC.findall(rule["expr"])} <= read_metrics()


def test_alerts_take_the_increase_only_of_counters() -> None:
    """A gauge that falls would look like a counter that was reset, and so like an increase."""
    counted = [name for rule in RULES for name in re.findall(r"(?:increase|rate)\((\w+)", rule["expr"])]
    assert counted
    assert {name for name in counted if not name.endswith("_total")} == set()


def test_each_alert_has_a_section_in_the_runbook() -> None:
    headings = re.findall(r"^## (\w+)$", document("docs/runbook.md").text, re.MULTILINE)
    assert headings == [rule["alert"] for rule in RULES]
    for rule in RULES:
        path, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert anchor in Document(ROOT / path).anchors()


def test_dashboard_shows_exactly_the_existing_metrics() -> None:
    expressions = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    shown = {SUFFIX.sub("", name) for each in expressions for name in METRIC.findall(each)}
    assert shown == read_metrics()
    places = [tuple(panel["gridPos"].values()) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)


@pytest.mark.skipif(PROMTOOL is None and not in_ci, reason="promtool is not installed (apt-get install prometheus)")
def test_promtool_accepts_rules_and_configuration() -> None:
    assert PROMTOOL is not None, "promtool must be installed where CI=true"
    for arguments in (
        ("check", "rules", DEPLOY / "prometheus/alerts.yml"),
        ("check", "config", DEPLOY / "prometheus/prometheus.yml"),
        ("test", "rules", ROOT / "tests/unit/deploy/alerts_test.yml"),
    ):
        result = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.skipif(ANALYZE is None and not in_ci, reason="systemd is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    assert ANALYZE is not None, "systemd must be installed where CI=true"
    command = tmp_path / "gateway"  # it must exist on the machine that checks, and its path has no spaces
    command.symlink_to(sys.executable)
    for unit in UNITS:
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/gateway/bin/gateway", str(command)))
    paths = [str(tmp_path / unit.name) for unit in UNITS]
    result = subprocess.run([ANALYZE, "verify", *paths], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def commands() -> list[list[str]]:
    """Return the command line of each process that one of the files starts."""
    composed = [service.get("command") for service in COMPOSE["services"].values()]
    pods = [each["spec"]["template"]["spec"] for each in MANIFESTS if "template" in each["spec"]]
    in_pods = [container.get("command") for pod in pods for container in pod["containers"]]
    in_units = [
        each.split()
        for unit in UNITS
        for each in re.findall(r"^ExecStart=\S+/(gateway .*)$", unit.read_text(), re.MULTILINE)
    ]
    image = re.findall(r"^CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    found = [*composed, *in_pods, *in_units, *(json.loads(each) for each in image)]
    return [each for each in found if each is not None and each[0] == "gateway"]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_started_commands_exist(command: list[str]) -> None:
    result = CliRunner().invoke(cli, [command[1], "--help"])
    assert result.exit_code == 0
    assert all(word in result.output for word in command if word.startswith("--"))


def test_containers_run_without_root() -> None:
    assert "\nUSER 10001\n" in (ROOT / "Dockerfile").read_text()
    pods = [each["spec"]["template"]["spec"] for each in MANIFESTS if "template" in each["spec"]]
    assert all(container["securityContext"]["runAsNonRoot"] for pod in pods for container in pod["containers"])


def test_image_lets_its_user_replace_the_receivers() -> None:
    """A user may give the new file the group of the old one only if it is the user's own."""
    installs = re.findall(r"^ && install (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert all("--owner=gateway --group=gateway " in each for each in installs)
    assert len(installs) == 2


def test_image_copies_what_the_wheel_packs() -> None:
    copied = set(re.findall(r"^COPY (?!--)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    names = {name for line in copied for name in line.split()}
    assert {"gateway", "handlers", "schemas", "wsgi.py", "requirements.lock"} <= names
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert names == {line[1:] for line in ignored if line.startswith("!")}
    assert all((ROOT / name).exists() for name in names)


def test_proxy_logs_to_a_file_that_it_can_open() -> None:
    """Under systemd, standard output is a socket. nginx cannot open it, and would not start."""
    assert "/dev/std" not in (DEPLOY / "nginx.conf").read_text()


def test_boot_without_a_database_is_survived() -> None:
    """A requirement that fails at first would keep the others down, and so would too many tries."""
    for unit in (each.read_text() for each in UNITS if each.suffix == ".service"):
        assert "\nStartLimitIntervalSec=0\n" in unit
        assert re.search(r"\nRestart=(always|on-failure)\n", unit)
        assert "Requires=gateway-migrate" not in unit


def test_proxy_of_the_composition_finds_the_upstream() -> None:
    [replacement] = re.findall(r"s/(server [\d.:]+)/", " ".join(COMPOSE["services"]["proxy"]["command"]))
    assert f"{replacement} max_fails" in (DEPLOY / "nginx.conf").read_text()
