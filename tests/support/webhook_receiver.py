"""A webhook endpoint to which the sandbox delivers events in tests."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import stripe

from tests.support.stripe_account import StripeAccount


@dataclass
class WebhookReceiver:
    """Responds with the statuses in ``answers``, then with 200.

    With a ``barrier``, it responds only after the barrier's number of deliveries has arrived.
    """

    url: str = ""
    answers: list[int] = field(default_factory=list)
    received: list[tuple[bytes, str]] = field(default_factory=list)
    barrier: threading.Barrier | None = None

    def types(self) -> list[str]:
        return [json.loads(body)["type"] for body, _signature in self.received]

    def ids(self) -> list[str]:
        return [json.loads(body)["id"] for body, _signature in self.received]


@contextmanager
def receiving() -> Iterator[WebhookReceiver]:
    state = WebhookReceiver()

    class WebhookHandler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.received.append((body, self.headers["Stripe-Signature"]))
            status = state.answers.pop(0) if state.answers else 200
            if state.barrier:
                state.barrier.wait(5)
            self.send_response(status)
            if status in {301, 302, 307}:
                self.send_header("Location", state.url)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), WebhookHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        state.url = f"http://127.0.0.1:{server.server_port}/hook"
        yield state
        server.shutdown()
        thread.join()


def endpoint(account: StripeAccount, receiver: WebhookReceiver, *types: str) -> stripe.WebhookEndpoint:
    params: Any = {"url": receiver.url, "enabled_events": list(types) or ["*"], "api_version": "2026-10-28.endive"}
    return account.v1.webhook_endpoints.create(params)
