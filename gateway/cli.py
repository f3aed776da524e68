"""The ``gateway`` command. Each of its commands is a module of ``gateway.commands``."""

import sys
from collections.abc import Sequence
from importlib import import_module
from types import MappingProxyType

import click

COMMANDS = MappingProxyType(
    {
        "catalog": "Check and show the plans that this deployment sells, and make Stripe match.",
        "changes": "Show plan changes with their history, events and jobs.",
        "customers": "Take over the customers of an existing Stripe account.",
        "demo": "Start everything on this machine and play a story.",
        "doctor": "Check settings, database, Stripe, webhook endpoint and workers.",
        "events": "Show and replay the events that came from Stripe.",
        "grants": "Give organizations complimentary plans, and longer trials.",
        "jobs": "Show background jobs that failed, and run them again.",
        "migrate": "Migrate the database to the newest version.",
        "notifications": "Show and replay the notifications to other systems.",
        "organizations": "Show, export and erase what is known of an organization.",
        "plans": "Check and repair the plan table.",
        "probe": "Upgrade and downgrade an organization of its own, with a test key.",
        "reconcile": "Find and repair what no webhook reported.",
        "sales": "List and deliver the inquiries to sales.",
        "sandbox": "Run a local Stripe that keeps everything in memory.",
        "serve": "Serve the web interface with gunicorn.",
        "token": "Print a development token that is valid for a day.",  # nosec B105  # a text, not a token
        "worker": "Process the inbox and the jobs until stopped.",
    }
)


class LazyGroup(click.Group):
    """A group that imports only the command that runs. All imports together take a second."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click passes it
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click passes it
        """Import a command, or return None if there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"gateway.commands.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click passes it
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="konnect-stripe-gateway", message="%(version)s")
def cli() -> None:
    """Keep Konnect's plans and Stripe's subscriptions in step."""


def main() -> None:
    """Run the command. Report an error that a person can fix in one line, without a traceback."""
    try:
        refuse_undecodable(sys.argv)
        sys.exit(cli(standalone_mode=False))  # outside standalone mode, click returns the status of its Exit
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except Exception as error:
        from gateway.commands.failures import explain  # noqa: PLC0415 - `gateway --help` waits for no import

        if (text := explain(error)) is None:
            raise
        click.secho(f"gateway: {text}", fg="red", err=True)
        sys.exit(1)


def refuse_undecodable(arguments: Sequence[str]) -> None:
    """Raise UsageError if an argument is not UTF-8, which neither the database nor a token accepts."""
    try:
        "".join(arguments).encode()
    except UnicodeEncodeError as error:
        raise click.UsageError("The arguments are not all UTF-8.") from error
