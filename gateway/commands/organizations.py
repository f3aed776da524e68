"""``gateway organizations`` shows what is known of an organization."""

import json

import click

from gateway.commands.loading import load_migrated_gateway
from gateway.services.operations.inspection import show_organization
from gateway.services.reconciliation.verify import verify_organization


@click.group()
def organizations() -> None:
    """Show what is known of an organization."""


@organizations.command()
@click.argument("organization")
@click.option("--verify", is_flag=True, help="Compare it with Stripe now. Exit with status 1 if something differs.")
def show(organization: str, *, verify: bool) -> None:
    """Print the plan and its reason, history, changes, cards, invoices, last events and unfinished jobs, as JSON."""
    gateway = load_migrated_gateway()
    found = show_organization(gateway, organization)
    differences = verify_organization(gateway, organization) if verify else []
    if verify:
        found["differences"] = [each.to_json() for each in differences]
    click.echo(json.dumps(found, indent=2, default=str))
    if differences:
        raise click.exceptions.Exit(1)
