"""``gateway sandbox`` runs the local Stripe. Production never loads it."""

from pathlib import Path

import click

from gateway.sandbox import serve


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=12111, show_default=True)
@click.option(
    "--seed",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of `stripe fixtures` to load first. Its `seed` and `time` make ids and times reproducible.",
)
@click.option("--webhook", metavar="URL", help="Send all events to this endpoint, and print its signing secret.")
def sandbox(port: int, seed: Path | None, webhook: str | None) -> None:
    """Run a local Stripe that keeps everything in memory."""
    serve(port=port, seed_file=seed, webhook=webhook, say=click.echo)
