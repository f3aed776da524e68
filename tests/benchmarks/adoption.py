"""Measures the adoption of an existing account, with the budget of calls that is the default.

The customers have a card, a subscription and an invoice each. The command runs as a process of its own, on the real
database with durable commits.
"""

import subprocess
import sys
import time

import click
import psycopg

from gateway.app import build_gateway
from gateway.sandbox import Sandbox
from gateway.services.operations.catalog_sync import sync_catalog
from tests.benchmarks.rig import rig
from tests.support.config import config
from tests.support.existing_account import existing_customer, multiply
from tests.support.processes import settings

ADOPT = [sys.executable, "-m", "gateway", "customers", "adopt", "--from-metadata", "workspace"]
BOUND = 300
"""The limit for 10,000 customers, in seconds."""


@click.command()
@click.option("--customers", default=10_000, show_default=True)
def main(customers: int) -> None:
    """Adopt an account, and print the time and the number of calls to Stripe."""
    with rig() as set_up, Sandbox() as sandbox:
        environment = settings(set_up.environment | {"STRIPE_API_BASE": sandbox.url})
        gateway = build_gateway(config(database_url=set_up.url, stripe_api_base=sandbox.url))
        list(sync_catalog(gateway))
        multiply(sandbox, existing_customer(gateway.stripe), customers, "workspace")
        gateway.database.close()
        for name, options in (("dry run", ["--dry-run"]), ("adoption", []), ("repeated adoption", [])):
            began = time.perf_counter()
            subprocess.run([*ADOPT, *options], env=environment, stdout=subprocess.DEVNULL, check=True)
            click.echo(f"{name:>18}  {time.perf_counter() - began:6.1f} s")
        with psycopg.connect(set_up.url) as connection:
            [linked] = connection.execute("SELECT count(*) FROM organization_plans WHERE plan = 'plus'").fetchone() or [
                0
            ]
        click.echo(f"{linked} of {customers} are on their plan. Bound: {BOUND} s for 10,000")


if __name__ == "__main__":
    main()
