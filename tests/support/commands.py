"""The settings of a command, and the commands below a command."""

from collections.abc import Iterator

import click
import pytest

from gateway.config import Config


def build_environment(config: Config) -> dict[str, str]:
    """Return the environment variables that give a command this configuration."""
    given = {
        "GATEWAY_DATABASE_URL": config.database_url,
        "GATEWAY_CATALOG": config.catalog,
        "GATEWAY_JWT_DEVELOPMENT_SECRET": config.jwt_development_secret,
        "GATEWAY_PUBLIC_URL": config.public_url,
        "GATEWAY_RECEIVERS": config.receivers,
        "GATEWAY_SALES_WEBHOOK_SECRET": config.sales_webhook_secret,
        "GATEWAY_SALES_WEBHOOK_URL": config.sales_webhook_url,
        "GATEWAY_STRIPE_CALLS_PER_SECOND": config.stripe_calls_per_second,
        "STRIPE_API_BASE": config.stripe_api_base,
        "STRIPE_SECRET_KEY": config.stripe_secret_key,
        "STRIPE_WEBHOOK_SECRETS": ",".join(config.stripe_webhook_secrets),
    }
    return {name: str(value) for name, value in given.items() if value is not None}


def use_settings(monkeypatch: pytest.MonkeyPatch, config: Config) -> None:
    """Give this configuration to the commands that the test runs in its own process."""
    for name, value in build_environment(config).items():
        monkeypatch.setenv(name, value)
    # A command's logging would remove the handlers that show a test its log and find the secrets in it.
    monkeypatch.setattr("gateway.app.configure_logging", lambda _: None)


def subcommands(group: click.Group) -> Iterator[tuple[str, click.Command]]:
    """Yield the name and the command of each subcommand, sorted by name."""
    context = click.Context(group)
    for name in sorted(group.list_commands(context)):
        command = group.get_command(context, name)
        assert command is not None
        yield name, command


def runnable_commands(command: click.Command, name: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the names of all commands that have no subcommands."""
    if not isinstance(command, click.Group):
        yield name
        return
    for each, below in subcommands(command):
        yield from runnable_commands(below, (*name, each))
