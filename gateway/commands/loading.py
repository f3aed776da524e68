"""Build the gateway for a command that needs it."""

import logging
from collections.abc import Collection

import click

from gateway.app import build_from_environment
from gateway.config import Need
from gateway.db.revision import is_migrated
from gateway.db.session import Database
from gateway.services.runtime import Gateway
from gateway.stripe_api.gate import Share

STRIPE = (Need.DATABASE, Need.STRIPE)
"""What a call to Stripe needs. The database counts the calls of all processes."""


def load_gateway(needs: Collection[Need], share: Share | None = None, level: int = logging.WARNING) -> Gateway:
    """Build the gateway from the environment, and close it when the command ends. Raise ConfigError.

    A person reads what a command prints, so it logs only warnings by default.
    """
    gateway = build_from_environment(needs, share, level)
    click.get_current_context().call_on_close(gateway.database.close)
    return gateway


def load_migrated_gateway(*, calls_stripe: bool = False) -> Gateway:
    """Build the gateway for a command that needs the tables, and Stripe's key only if it calls Stripe.

    Raise ConfigError, DatabaseUnavailable, or ClickException if the database is not migrated.
    """
    gateway = load_gateway(STRIPE if calls_stripe else (Need.DATABASE,))
    refuse_unmigrated(gateway.database)
    return gateway


def refuse_unmigrated(database: Database) -> None:
    """Raise ClickException if the database is not migrated, or DatabaseUnavailable if it is down."""
    if not is_migrated(database):
        raise click.ClickException("The database is not migrated. Run `gateway migrate`.")
