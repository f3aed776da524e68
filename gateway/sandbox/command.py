"""The sandbox as a command that loads a seed file, prints its webhook secret and runs until a signal stops it."""

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from werkzeug.test import Client

from gateway.sandbox.clock import StartingClock
from gateway.sandbox.events import API_VERSION
from gateway.sandbox.fixtures import create, make_request
from gateway.sandbox.seed import Seed, StartError, load
from gateway.sandbox.server import Sandbox


def serve(
    *, port: int, seed_file: Path | None = None, webhook: str | None = None, say: Callable[[str], None] = print
) -> None:
    """Serve until SIGTERM or SIGINT.

    ``webhook`` is the URL of an endpoint that receives all events, including those of the seed file. ``say`` receives
    the lines to show to the user. Raise OSError if the port is taken. Raise StartError if the endpoint or a seed object
    cannot be created.
    """
    seed = load(seed_file) if seed_file else Seed()
    clock = time.time if seed.time is None else StartingClock(seed.time)
    sandbox = Sandbox(port=port, clock=clock, seed=seed.seed)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        client = Client(sandbox.app)
        secret = _endpoint(client, webhook) if webhook else None
        create(client, seed)
        if isinstance(clock, StartingClock):
            clock.run()
        sandbox.start()
        say(f"The local Stripe runs in memory on {sandbox.url} and takes any key sk_test_…. Ctrl-C stops it.")
        if seed_file:
            say(f"Made {len(seed.fixtures)} requests from {seed_file}.")
        if secret:
            say(f"Webhooks go to {webhook}, signed with {secret}")
        stop.wait()
    finally:
        sandbox.close()


def _endpoint(client: Client, url: str) -> str:
    """Register a webhook endpoint for all events and return its signing secret."""
    params = {"url": url, "enabled_events": ["*"], "api_version": API_VERSION}
    answer = make_request(client, "post", "/v1/webhook_endpoints", params)
    if "error" in answer:
        raise StartError(f"--webhook {url}: {answer['error']['message']}")
    return str(answer["secret"])
