"""``gateway doctor``: what is wrong, in plain words."""

import click

from gateway.commands import parts
from gateway.services.operations.doctor import run_checks
from handlers import HANDLERS


@click.command()
def doctor() -> None:
    """Check settings, database, Stripe, the webhook endpoint and the workers; status 1 if something is wrong."""
    wrong = False
    for finding in run_checks(parts(), HANDLERS):
        click.secho(f"{'✓' if finding.ok else '✗'} {finding.text}", fg="green" if finding.ok else "red")
        wrong = wrong or not finding.ok
    if wrong:
        raise click.exceptions.Exit(1)
