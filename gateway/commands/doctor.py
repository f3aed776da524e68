"""``gateway doctor`` says in plain words what is wrong."""

import click

from gateway.commands.loading import load_gateway
from gateway.config import Need
from gateway.services.operations.doctor import run_checks
from handlers import HANDLERS


@click.command()
def doctor() -> None:
    """Check settings, database, Stripe, webhook endpoint and workers. Exit with status 1 if something is wrong."""
    wrong = False
    for finding in run_checks(load_gateway((Need.DATABASE, Need.STRIPE, Need.TOKENS)), HANDLERS):
        click.secho(f"{'✓' if finding.ok else '✗'} {finding.text}", fg="green" if finding.ok else "red")
        wrong = wrong or not finding.ok
    if wrong:
        raise click.exceptions.Exit(1)
