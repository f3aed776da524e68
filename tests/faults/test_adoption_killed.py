"""SIGKILL hits an adoption at random moments. The runs that follow link every customer once."""

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from gateway.sandbox import Sandbox
from tests.faults.conftest import NewDatabase
from tests.support.deployment import Deployment, deployed
from tests.support.existing_account import existing_customer, multiply
from tests.support.processes import settings

CUSTOMERS, KILLS = 3_000, 12
ADOPT = [sys.executable, "-m", "gateway", "customers", "adopt", "--from-metadata", "workspace"]


@pytest.fixture
def full(new_database: NewDatabase, server: str, directory: Path) -> Iterator[Deployment]:
    """Deploy the gateway in front of an account with many customers."""
    with (
        new_database(server) as url,
        TemporaryDirectory(dir=directory) as logs,
        Sandbox() as sandbox,
        deployed(url, Path(logs), sandbox_url=sandbox.url) as deployment,
    ):
        deployment.fault("webhook_dropped", times=1_000_000)
        multiply(sandbox, existing_customer(deployment.stripe), CUSTOMERS, "workspace")
        yield deployment


@pytest.mark.long
def test_killed_adoption_links_every_customer_once(full: Deployment) -> None:
    died, progress = 0, 0
    while died < KILLS:
        run = subprocess.Popen(ADOPT, env=settings(full.environment), stdout=subprocess.DEVNULL)
        try:
            run.wait(random.uniform(1, 6))  # noqa: S311 - not a secret
        except subprocess.TimeoutExpired:
            died += 1
        run.kill()
        run.wait()
        linked = full.number("SELECT count(*) FROM organizations")
        assert progress <= linked == full.number("SELECT count(*) FROM organization_plans WHERE plan = 'plus'")
        progress = linked
        if full.number("SELECT count(*) FROM reconciliations WHERE finished_at IS NOT NULL"):
            break
    result = full.command("customers", "adopt", "--from-metadata", "workspace")
    assert result.returncode == 0, result.stderr
    assert died > 0
    for table in ("organizations", "organization_plans", "plan_history", "subscriptions", "adoptions"):
        assert full.number(f"SELECT count(*) FROM {table}") == CUSTOMERS  # noqa: S608 - names of ours
    assert full.number("SELECT count(DISTINCT stripe_customer_id) FROM organizations") == CUSTOMERS
    assert full.number("SELECT count(*) FROM plan_history WHERE cause <> 'adopted'") == 0
