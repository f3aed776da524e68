"""``gateway migrate`` creates or changes the tables."""

import click

from gateway.app import wired
from gateway.db.migrate import migrate as migrate_database
from gateway.db.pooler import refuse_pooler


@click.command()
def migrate() -> None:
    """Migrate the database to the newest version."""
    database = wired().database
    refuse_pooler(database)
    migrate_database(database)
