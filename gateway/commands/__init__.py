"""Groups of the ``gateway`` command that are larger than a few lines."""

import click

from gateway.app import wired
from gateway.db.migrate import is_migrated
from gateway.db.session import Database
from gateway.services.runtime import Gateway


def parts() -> Gateway:
    """The parts, as the environment says, until the command ends. Raises ConfigError."""
    gateway = wired()
    click.get_current_context().call_on_close(gateway.database.close)
    return gateway


def migrated_parts() -> Gateway:
    """The same, for what cannot do without the tables.

    Raises ConfigError, DatabaseUnavailable, and ClickException if the database is not migrated.
    """
    gateway = parts()
    refuse_unmigrated(gateway.database)
    return gateway


def refuse_unmigrated(database: Database) -> None:
    """Say what is to be done, instead of which table was not found. Raises ClickException, DatabaseUnavailable."""
    if not is_migrated(database):
        raise click.ClickException("The database is not migrated: run `gateway migrate`.")
