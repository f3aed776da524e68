"""``gateway demo`` needs the extra ``demo``, which production does not install."""

import sys
from pathlib import Path

import click

from gateway.demo import run

PORT = click.IntRange(1, 65535)


@click.command()
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
    """Start everything on this machine and play a story."""
    options = {"port": port, "metrics_port": metrics_port, "sandbox_port": sandbox_port}
    sys.exit(run(**options, data_dir=data_dir, exit_after=exit_after))
