"""Groups of the ``gateway`` command that are larger than a few lines."""

import click

from gateway.app import wired
from gateway.services.context import Gateway


def parts() -> Gateway:
    """The parts, as the environment says, until the command ends. Raises ConfigError."""
    gateway = wired()
    click.get_current_context().call_on_close(gateway.database.close)
    return gateway
