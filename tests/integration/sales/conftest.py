"""A stand-in for sales' own system, and a gateway that delivers to it."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from gateway.app import build_gateway, create_app
from gateway.endpoints.request_context import EXTENSION
from tests.support.sales import SECRET, SalesReceiver
from tests.support.world import World


@pytest.fixture
def receiver() -> Iterator[SalesReceiver]:
    found = SalesReceiver()

    class SalesHandler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            if found.blocking:
                found.unblocked.wait(30)
            self.send_response(found.answers.pop(0) if found.answers else 200)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Suppress the log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), SalesHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}/inquiries?token=in-the-address"
    yield found
    found.unblocked.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def sales(world: World, receiver: SalesReceiver) -> Iterator[World]:
    """Return the world with a gateway that delivers to the receiver."""
    config = replace(world.gateway.config, sales_webhook_url=receiver.url, sales_webhook_secret=SECRET)
    gateway = build_gateway(config)
    app = create_app(gateway)
    yield World(gateway=gateway, stripe=world.stripe, client=app.test_client())
    app.extensions[EXTENSION].close()
