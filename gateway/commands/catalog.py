"""``gateway catalog`` checks and shows the plans that this deployment sells, and makes Stripe match."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from gateway.catalog import Catalog
from gateway.commands.loading import STRIPE, load_gateway, load_migrated_gateway
from gateway.services.operations.catalog_diff import compare_catalog
from gateway.services.operations.catalog_sync import count_on_old_prices, sync_catalog
from gateway.services.operations.price_migration import migrate_subscribers
from gateway.services.subscription.policy import list_transitions

FILE = click.argument(
    "file", required=False, envvar="GATEWAY_CATALOG", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
HEADINGS = ("from", "to", "action", "who", "needs")


@click.group()
def catalog() -> None:
    """Check and show the plans that this deployment sells, and make Stripe match."""


@catalog.command()
@FILE
def check(file: Path | None) -> None:
    """Report every mistake in FILE, or in the catalogue of this deployment. Needs no other settings."""
    plans = Catalog.load(file).plans
    click.echo(f"The catalogue has no mistakes. It has {len(plans)} plans.")


@catalog.command()
@FILE
@click.option("--policy", is_flag=True, help="Print which plan an organization may change to which, and how.")
def show(file: Path | None, *, policy: bool) -> None:
    """Print the catalogue as the gateway reads it, with all defaults, as JSON."""
    found = Catalog.load(file)
    click.echo(format_policy(found) if policy else json.dumps(asdict(found), indent=2, default=str))


def format_policy(found: Catalog) -> str:
    """Return the policy table as text. Reducing the quantity has no preconditions."""
    rows = [
        (source, target, each.action, each.channel.name.lower(), " ".join(sorted(each.needs)))
        for source, target, each in list_transitions(found)
    ]
    widths = [max(len(cell) for cell in column) for column in zip(HEADINGS, *rows, strict=True)]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in (HEADINGS, *rows)]
    return "\n".join("  ".join(line).rstrip() for line in lines)


@catalog.command()
def diff() -> None:
    """Print how Stripe differs from the catalogue, and change nothing. Exit with status 0 if it does not differ."""
    gateway = load_gateway(STRIPE)
    differences = compare_catalog(gateway.stripe, gateway.catalog).differences
    for difference in differences:
        click.echo(difference.text)
    if differences:
        raise click.exceptions.Exit(1)
    click.echo("Stripe matches the catalogue.")


@catalog.command()
def sync() -> None:
    """Print how Stripe differs from the catalogue, and make it match. Subscriptions keep their prices."""
    gateway = load_migrated_gateway(calls_stripe=True)
    for line in sync_catalog(gateway):
        click.echo(line)
    click.echo("Stripe matches the catalogue.")
    if staying := count_on_old_prices(gateway):
        click.echo(f"{staying} subscriptions stay on old prices. `gateway catalog migrate-subscribers` moves them.")


@catalog.command("migrate-subscribers")
@click.option("--dry-run", is_flag=True, help="Print what each next invoice would cost, and change nothing.")
def move_subscribers(*, dry_run: bool) -> None:
    """Move subscriptions from old prices to the catalogue's. The amount changes with their next period.

    A later run resumes with those that have not moved. Exit with status 1 if one of them was not moved.
    """
    refused = 0
    for migration in migrate_subscribers(load_migrated_gateway(calls_stripe=True), dry_run=dry_run):
        click.echo(migration)
        refused += migration.refusal is not None
    click.echo("Nothing was changed." if dry_run else f"{refused} subscriptions were not moved.")
    if refused:
        raise click.exceptions.Exit(1)
