"""``gateway reconcile`` finds and repairs what no webhook reported."""

import json
import sys
from functools import partial

import click

from gateway.commands.loading import load_migrated_gateway
from gateway.services.reconciliation.run import reconcile as run_reconciliation
from handlers import HANDLERS


@click.command()
@click.option("--dry-run", is_flag=True, help="Report what would be done, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def reconcile(*, dry_run: bool, as_json: bool) -> None:
    """Find and repair what no webhook reported. Exit with status 0 if everything is in order now."""
    gateway = load_migrated_gateway(calls_stripe=True)
    report = run_reconciliation(gateway, HANDLERS, dry_run=dry_run, say=partial(click.echo, err=True))
    click.echo(json.dumps(report.to_json(), indent=2) if as_json else "\n".join(report.in_words()))
    sys.exit(0 if report.in_order else 1)
