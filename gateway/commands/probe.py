"""``gateway probe`` changes a plan at Stripe and measures how long the webhooks take."""

import click

from gateway.commands.loading import load_migrated_gateway
from gateway.services.operations.probe_results import describe
from gateway.services.probe import run_probe


@click.command()
def probe() -> None:
    """Upgrade and downgrade an organization of its own, with a test key. Exit with status 1 if no webhook follows."""
    wrong = False
    for result in run_probe(load_migrated_gateway(calls_stripe=True)):
        ok = result.problem is None
        click.secho(f"{'✓' if ok else '✗'} {describe(result)}", fg="green" if ok else "red")
        wrong = wrong or not ok
    if wrong:
        raise click.exceptions.Exit(1)
