"""A short run of each target. ``make fuzz`` runs for any time."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

# Runs that take a few seconds. They would find every bug that earlier runs found, and each of those has its own test.
RUNS = {"ingress": 1_000, "signed": 500, "drained": 100}

pytestmark = pytest.mark.skipif(
    find_spec("atheris") is None, reason="atheris has wheels only for CPython 3.11 to 3.13 on Linux x86_64"
)


# The drained deliveries pass ingress too, so the other targets run in ``make test-long`` only.
@pytest.mark.parametrize(
    "target", [each if each == "drained" else pytest.param(each, marks=pytest.mark.long) for each in RUNS]
)
def test_every_delivery_is_stored_or_refused(target: str, database_url: str, tmp_path: Path) -> None:
    options = [f"-atheris_runs={RUNS[target]}", "-seed=1", "-max_total_time=60", f"-artifact_prefix={tmp_path}/found-"]
    run = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.run", target, str(tmp_path / "corpus"), *options],
        env={**os.environ, "GATEWAY_DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        check=False,
    )
    report = (run.stderr + run.stdout)[-6_000:]
    assert run.returncode == 0, report
    assert f"Done {RUNS[target]} in" in report
