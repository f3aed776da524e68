"""``gateway catalog`` shows the plans that this deployment sells, and makes Stripe match them."""

import json
from dataclasses import asdict

import click

from gateway.catalog import Catalog
from gateway.commands.loading import load_migrated_gateway
from gateway.config import Config
from gateway.services.operations.catalog_sync import sync_catalog


@click.group()
def catalog() -> None:
    """Show the plans that this deployment sells, or sync them to Stripe."""


@catalog.command()
def sync() -> None:
    """Make Stripe's products and prices match the catalogue."""
    for line in sync_catalog(load_migrated_gateway()):
        click.echo(line)


@catalog.command()
def show() -> None:
    """Print the catalogue as the gateway reads it."""
    click.echo(json.dumps([asdict(plan) for plan in Catalog.load(Config.from_environment().catalog).plans], indent=2))
