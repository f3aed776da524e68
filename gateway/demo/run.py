"""Start everything, each part after those that it needs."""

import logging
import os
import secrets
import shlex
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import click

from gateway.app import build_from_environment
from gateway.db.migrate import migrate
from gateway.demo.month import play_month
from gateway.demo.postgres import embedded_postgres
from gateway.demo.processes import Child, DemoError, end_leftovers, only_demo_in, require_free_port, running, wait_for
from gateway.demo.receiver import start_receiver
from gateway.demo.stage import Stage
from gateway.demo.story import play, what_to_try
from gateway.logging import configure_logging
from gateway.services.operations.catalog_sync import sync_catalog
from gateway.services.runtime import Gateway
from gateway.stripe_api.client import API_VERSION, stripe_client

SANDBOX_KEY = "sk_test_sandbox"
INTERRUPTED = 130  # the status that a shell expects after Ctrl-C


def run(*, port: int, metrics_port: int, sandbox_port: int, data_dir: Path, exit_after: bool) -> int:
    """Start everything, play the story, then serve until Ctrl-C unless ``exit_after``.

    Return the exit status, which is 0 only if every step of the story came out right. Raise DemoError if something
    cannot be started.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # needed if a shell started us with Ctrl-C ignored
        signal.signal(number, signal.default_int_handler)
    configure_logging(logging.WARNING)
    stage: Stage | None = None
    try:
        with ExitStack() as resources:
            own_key = own_test_key(port)
            resources.enter_context(only_demo_in(data_dir))
            end_leftovers(data_dir / "logs")
            require_free_port(port, "--port")
            require_free_port(metrics_port, "--metrics-port")
            environment = start_database(resources, data_dir, keep=own_key is not None)
            sandbox: Child | None = None
            if own_key is None:
                sandbox, settings = start_sandbox(resources, sandbox_port, port, data_dir)
                environment |= settings
            settings, notified = start_receiver(resources, data_dir)
            environment |= settings
            gateway = prepare(resources, environment)
            children = start_gateway(resources, environment, port, metrics_port, data_dir)
            stage = Stage(gateway, f"http://127.0.0.1:{port}", f"org_{secrets.token_hex(4)}", notified)
            play(stage)
            play_month(stage)
            stage.conclude()
            if not exit_after:
                metrics = f"http://127.0.0.1:{metrics_port}/metrics"
                addresses = {"DEMO_URL": stage.url, "DEMO_STRIPE": stage.stripe_url, "DEMO_METRICS": metrics}
                written = write_environment(environment | addresses, data_dir)
                click.echo(what_to_try(stage, metrics, written, data_dir.resolve() / "logs"))
                serve_until_interrupted(children, sandbox)
    except KeyboardInterrupt:
        click.echo("\nStopped.")
        return INTERRUPTED if stage is None or exit_after else stage.status
    return stage.status


def own_test_key(port: int) -> str | None:
    """Return the user's own Stripe key, whose test account then replaces the sandbox, or None. Raise DemoError."""
    key = os.environ.get("STRIPE_SECRET_KEY")
    if not key:
        return None
    if "_live_" in key:
        raise DemoError("STRIPE_SECRET_KEY is a live key. The demo uses test accounts only.")
    if not os.environ.get("STRIPE_WEBHOOK_SECRETS"):
        raise DemoError(
            "STRIPE_SECRET_KEY is set, so the demo uses that Stripe account. Its webhooks have to reach this machine."
            f" Run `stripe listen --forward-to 127.0.0.1:{port}/webhooks/stripe` and set STRIPE_WEBHOOK_SECRETS to the"
            " secret that it prints. (Unset STRIPE_SECRET_KEY to use the local Stripe.)"
        )
    click.echo("Using the Stripe account of STRIPE_SECRET_KEY instead of the local Stripe.")
    return key


def start_database(resources: ExitStack, data_dir: Path, *, keep: bool) -> dict[str, str]:
    """Start PostgreSQL and return its settings. It starts empty with the sandbox, which forgets everything."""
    click.echo("Starting PostgreSQL …")
    url = resources.enter_context(embedded_postgres(data_dir.resolve() / "postgres", keep=keep))
    return {"GATEWAY_DATABASE_URL": url, "GATEWAY_JWT_DEVELOPMENT_SECRET": secrets.token_hex(32)}


def start_sandbox(resources: ExitStack, port: int, web_port: int, data_dir: Path) -> tuple[Child, dict[str, str]]:
    """Start the local Stripe with a webhook endpoint at the web process. Return the process and its settings."""
    require_free_port(port, "--sandbox-port")
    click.echo("Starting the local Stripe …")
    child = resources.enter_context(running("sandbox", ["sandbox", f"--port={port}"], {}, data_dir / "logs"))
    url = f"http://127.0.0.1:{port}"
    wait_for(url, child)
    endpoint = stripe_client(SANDBOX_KEY, url).v1.webhook_endpoints.create(
        {
            "url": f"http://127.0.0.1:{web_port}/webhooks/stripe",
            "enabled_events": ["*"],
            "api_version": API_VERSION,
        }
    )
    return child, {
        "STRIPE_SECRET_KEY": SANDBOX_KEY,
        "STRIPE_PUBLISHABLE_KEY": "pk_test_sandbox",
        "STRIPE_WEBHOOK_SECRETS": endpoint.secret or "",
        "STRIPE_API_BASE": url,
        "GATEWAY_PUBLIC_URL": f"http://127.0.0.1:{web_port}",
    }


def prepare(resources: ExitStack, environment: dict[str, str]) -> Gateway:
    """Create the tables, and the plans at Stripe."""
    os.environ.update(environment)
    gateway = build_from_environment(level=logging.WARNING)
    resources.callback(gateway.database.close)
    click.echo("Creating the tables, and the plans at Stripe …")
    migrate(gateway.database)
    for line in sync_catalog(gateway):
        click.echo(f"  {line}")
    return gateway


def start_gateway(
    resources: ExitStack, environment: dict[str, str], port: int, metrics_port: int, data_dir: Path
) -> list[Child]:
    """Start the worker and the web process."""
    click.echo("Starting worker and web …")
    logs = data_dir / "logs"
    worker = resources.enter_context(running("worker", ["worker"], environment, logs))
    command = ["serve", f"--bind=127.0.0.1:{port}", f"--metrics-bind=127.0.0.1:{metrics_port}"]
    web = resources.enter_context(running("web", command, environment, logs))
    wait_for(f"http://127.0.0.1:{port}/health/ready", web)
    return [worker, web]


def serve_until_interrupted(children: list[Child], sandbox: Child | None) -> None:
    """Wait for Ctrl-C, and restart the worker or the web process if somebody kills it.

    The sandbox is not restarted. It keeps everything in memory, so a new one would know no object of the tables. Raise
    DemoError if it ends.
    """
    while True:
        if sandbox is not None:
            sandbox.require_alive()
        for child in children:
            child.restart_if_dead()
        time.sleep(0.5)


def write_environment(environment: dict[str, str], data_dir: Path) -> Path:
    """Write the settings to a file for another terminal. Their secrets belong to this demo only."""
    path = data_dir.resolve() / "environment"
    path.touch(mode=0o600)
    path.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()))
    return path
