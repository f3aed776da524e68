"""The ``gateway`` command."""

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NoReturn

import click
from sqlalchemy.exc import DBAPIError

from gateway.app import wired
from gateway.auth import SCOPES, issue_development_token
from gateway.commands import load_migrated_gateway
from gateway.commands.catalog import catalog
from gateway.commands.customers import customers
from gateway.commands.doctor import doctor
from gateway.commands.events import events
from gateway.commands.grants import grants
from gateway.commands.plans import plans
from gateway.commands.sales import sales
from gateway.commands.worker import worker
from gateway.config import Config, ConfigError
from gateway.db.migrate import migrate as migrate_database
from gateway.db.session import is_outage
from gateway.errors import GatewayError
from gateway.metrics import DIRECTORY
from gateway.metrics_server import LISTENER, listen
from gateway.services.reconciliation.run import reconcile as run_reconciliation
from handlers import HANDLERS

PORT = click.IntRange(1, 65535)
# Without reuse-port, kept-alive connections may all land on one gunicorn worker.
# A client that sends its body slowly occupies a thread. With few threads, a dozen such clients would block the rest.
WORKERS, THREADS = 2, Config.web_threads
OPTIONS = ("--reuse-port", "--no-control-socket", "--access-logfile=-", "--config=python:gateway.gunicorn_hooks")


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
    except (ConfigError, GatewayError, OSError) as error:
        fail(str(error))
    except DBAPIError as error:
        if not is_outage(error.orig):
            raise
        fail(f"the database cannot be reached: {error.orig}".partition("\n")[0])


METRICS_ABOVE = 1464  # the metrics' port above the public one, so 9464 for 8000


def refuse_undecodable(arguments: Sequence[str]) -> None:
    """Raise UsageError if an argument is not UTF-8, which neither the database nor a token accepts."""
    try:
        "".join(arguments).encode()
    except UnicodeEncodeError as error:
        raise click.UsageError("The arguments are not all UTF-8.") from error


def fail(message: str) -> NoReturn:
    """Print one line to standard error and exit with status 1."""
    click.secho(f"gateway: {message}", fg="red", err=True)
    sys.exit(1)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def cli() -> None:
    """Keep Konnect's plans and Stripe's subscriptions in step."""


cli.add_command(catalog)
cli.add_command(customers)
cli.add_command(doctor)
cli.add_command(events)
cli.add_command(grants)
cli.add_command(plans)
cli.add_command(sales)
cli.add_command(worker)


@cli.command()
@click.option("--bind", default="127.0.0.1:8000", show_default=True, help="Address and port.")
@click.option(
    "--metrics-bind",
    show_default="127.0.0.1:9464 for port 8000, and as far from any other port",
    help="Address and port of /metrics. Keep it inside your network.",
)
@click.option("--workers", default=WORKERS, show_default=True, help="Number of processes.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=THREADS,
    show_default=True,
    envvar="GATEWAY_WEB_THREADS",
    help="Threads per process. Half of them may be busy with Stripe.",
)
def serve(bind: str, metrics_bind: str | None, workers: int, threads: int) -> None:
    """Serve the web interface with gunicorn."""
    Config.from_environment()  # report a wrong setting here, before a gunicorn worker fails to boot
    os.environ[LISTENER] = str(listen_for_metrics(metrics_bind or choose_metrics_address(bind)))
    arguments = [f"--workers={workers}", f"--threads={threads}", f"--bind={bind}"]
    os.environ["GATEWAY_WEB_THREADS"] = str(threads)  # each web process sizes its calls to Stripe by it
    os.environ[DIRECTORY] = tempfile.mkdtemp(prefix="gateway-metrics-")  # new, so that the counts start at zero
    command = [sys.executable, "-m", "gunicorn", *arguments, *OPTIONS, "wsgi:app"]
    os.execv(sys.executable, command)  # nosec B606  # noqa: S606 - no shell: gunicorn replaces this process and gets its signals


def choose_metrics_address(bind: str) -> str:
    """Return an address for the metrics that follows from ``bind``, so that two gateways share one machine."""
    _, _, port = bind.rpartition(":")
    if not port.isdecimal():  # a Unix socket
        return "127.0.0.1:9464"
    return f"127.0.0.1:{int(port) + METRICS_ABOVE if int(port) < 1 << 15 else int(port) - METRICS_ABOVE}"


def listen_for_metrics(address: str) -> int:
    """Return the file number of a socket that listens on ``address``, for gunicorn to inherit."""
    try:
        return listen(address).detach()
    except ValueError as error:
        raise click.UsageError(f"--metrics-bind must look like 127.0.0.1:9464, not {address!r}.") from error
    except OSError as error:
        fail(f"cannot listen for metrics on {address}: {error.strerror}. Choose another address with --metrics-bind.")


@cli.command()
def migrate() -> None:
    """Migrate the database to the newest version."""
    migrate_database(wired().database)


@cli.command()
@click.option("--dry-run", is_flag=True, help="Report what would be done, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def reconcile(*, dry_run: bool, as_json: bool) -> None:
    """Find and repair what no webhook reported. Exit with status 0 if everything is in order now."""
    report = run_reconciliation(load_migrated_gateway(), HANDLERS, dry_run=dry_run, say=partial(click.echo, err=True))
    click.echo(json.dumps(report.to_json(), indent=2) if as_json else "\n".join(report.in_words()))
    sys.exit(0 if report.in_order else 1)


@cli.command()
@click.option("--organization", required=True, help="Id of the organization the token is for.")
@click.option("--scope", "scopes", multiple=True, default=SCOPES, show_default=True, help="Can be repeated.")
def token(organization: str, scopes: tuple[str, ...]) -> None:
    """Print a development token that is valid for a day."""
    config = Config.from_environment()
    if config.jwt_development_secret is None:
        raise click.ClickException("The development issuer is off because GATEWAY_JWT_DEVELOPMENT_SECRET is not set.")
    click.echo(issue_development_token(config, organization, datetime.now(UTC), scopes=scopes))


@cli.command()
@click.option("--port", type=PORT, default=12111, show_default=True)
@click.option(
    "--seed",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of `stripe fixtures` to load first. Its `seed` and `time` make ids and times reproducible.",
)
@click.option("--webhook", metavar="URL", help="Send all events to this endpoint, and print its signing secret.")
def sandbox(port: int, seed: Path | None, webhook: str | None) -> None:
    """Run a local Stripe that keeps everything in memory."""
    from gateway.sandbox import StartError  # noqa: PLC0415 - production never loads the sandbox
    from gateway.sandbox import serve as serve_sandbox  # noqa: PLC0415 - the same

    try:
        serve_sandbox(port=port, seed_file=seed, webhook=webhook, say=click.echo)
    except StartError as error:
        fail(str(error))


@cli.command()
@click.option("--exit", "exit_after", is_flag=True, help="Stop after the story. Status 0 means every step was right.")
@click.option("--port", type=PORT, default=8000, show_default=True, help="Port of the web interface.")
@click.option("--metrics-port", type=PORT, default=9464, show_default=True, help="Port of /metrics.")
@click.option("--sandbox-port", type=PORT, default=12111, show_default=True, help="Port of the local Stripe.")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".demo"),
    show_default=True,
    help="Holds PostgreSQL and the logs. The local Stripe forgets everything, so with it the database starts empty.",
)
def demo(*, exit_after: bool, port: int, metrics_port: int, sandbox_port: int, data_dir: Path) -> None:
    """Start everything on this machine and play the story of one organization."""
    from gateway.demo import run  # noqa: PLC0415 - needs the extra `demo`, which production does not install

    options = {"port": port, "metrics_port": metrics_port, "sandbox_port": sandbox_port}
    sys.exit(run(**options, data_dir=data_dir, exit_after=exit_after))
