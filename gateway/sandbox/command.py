"""The sandbox as a command: begun from a seed file, telling its webhooks' secret, ended by a signal."""

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from werkzeug.test import Client

from gateway.sandbox.clock import StartingClock
from gateway.sandbox.events import API_VERSION
from gateway.sandbox.fixtures import ask, create
from gateway.sandbox.seed import Seed, StartError, load
from gateway.sandbox.server import Sandbox


def serve(
    *, port: int, seed_file: Path | None = None, webhook: str | None = None, say: Callable[[str], None] = print
) -> None:
    """Serve until SIGTERM or SIGINT.

    ``webhook`` is the address of an endpoint for all events, those of the seed file as well; ``say`` gets the lines for
    the person who started it. OSError if the port is taken, StartError if something cannot be created.
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
        say(f"A local Stripe, in memory, on {sandbox.url} with any key sk_test_…; Ctrl-C stops it.")
        if seed_file:
            say(f"Made {len(seed.fixtures)} requests of {seed_file}.")
        if secret:
            say(f"Webhooks go to {webhook}, signed with {secret}")
        stop.wait()
    finally:
        sandbox.close()


def _endpoint(client: Client, url: str) -> str:
    """Register a webhook endpoint for all events; gives its secret."""
    params = {"url": url, "enabled_events": ["*"], "api_version": API_VERSION}
    answer = ask(client, "post", "/v1/webhook_endpoints", params)
    if "error" in answer:
        raise StartError(f"--webhook {url}: {answer['error']['message']}")
    return str(answer["secret"])
