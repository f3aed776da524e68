"""``gateway migrate`` creates or changes the tables."""

import logging

import click

from gateway.commands.loading import load_gateway
from gateway.config import Need
from gateway.db.migrate import migrate as migrate_database
from gateway.db.pooler import refuse_pooler


@click.command()
def migrate() -> None:
    """Migrate the database to the newest version."""
    database = load_gateway((Need.DATABASE,), level=logging.INFO).database
    refuse_pooler(database)
    migrate_database(database)
