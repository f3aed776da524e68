"""``gateway organizations`` shows, exports and erases what is known of an organization."""

import json

import click

from gateway.commands.loading import load_migrated_gateway
from gateway.services.operations.erasure import erase_organization
from gateway.services.operations.export import export_organization
from gateway.services.operations.inspection import show_organization
from gateway.services.reconciliation.verify import verify_organization


@click.group()
def organizations() -> None:
    """Show, export and erase what is known of an organization."""


@organizations.command()
@click.argument("organization")
@click.option("--verify", is_flag=True, help="Compare it with Stripe now. Exit with status 1 if something differs.")
def show(organization: str, *, verify: bool) -> None:
    """Print the plan and its reason, history, changes, cards, invoices, last events and unfinished jobs, as JSON."""
    gateway = load_migrated_gateway(calls_stripe=verify)
    found = show_organization(gateway, organization)
    differences = verify_organization(gateway, organization) if verify else []
    if verify:
        found["differences"] = [each.to_json() for each in differences]
    click.echo(json.dumps(found, indent=2, default=str))
    if differences:
        raise click.exceptions.Exit(1)


@organizations.command()
@click.argument("organization")
def export(organization: str) -> None:
    """Print all rows about an organization, one JSON object per line. They hold personal data."""
    customer = None
    for row in export_organization(load_migrated_gateway(), organization):
        customer = row.get("stripe_customer_id") or customer
        click.echo(json.dumps(row, default=str))
    if customer is not None:
        click.echo(f"Stripe holds more: the customer {customer} with its payment methods and invoices.", err=True)


@organizations.command()
@click.argument("organization")
@click.confirmation_option(prompt="This cannot be undone. Erase the personal data of this organization?")
def erase(organization: str) -> None:
    """Erase the names, cards, messages and user ids of an organization. Keep the records of its money without them."""
    erasure = erase_organization(load_migrated_gateway(), organization)
    kept = ", ".join(f"{table} ({rows})" for table, rows in erasure.kept.items())
    click.echo(f"Erased. Kept under the id {organization}, without names: {kept}.")
    if erasure.customer_id is not None:
        click.echo(f"Stripe still holds the deleted customer {erasure.customer_id}, with names on its invoices.")
        click.echo("A redaction job removes the names there: https://docs.stripe.com/privacy/redaction")
