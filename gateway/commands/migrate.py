"""``gateway migrate`` creates or changes the tables."""

import click

from gateway.app import wired
from gateway.db.migrate import migrate as migrate_database


@click.command()
def migrate() -> None:
    """Migrate the database to the newest version."""
    migrate_database(wired().database)
