"""Stands in for the systems that the gateway notifies, and makes the gateway send."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from sqlalchemy import text
from standardwebhooks import Webhook

from gateway.app import build_gateway, create_app
from gateway.config import Config
from gateway.endpoints.request_context import EXTENSION
from gateway.services.notifications.delivery import deliver_due
from tests.support.deployment import Deployment
from tests.support.json_types import Json
from tests.support.world import World

SECRET, OLD_SECRET = (
    f"whsec_{base64.b64encode(word).decode()}"
    for word in (b"a secret that only these tests know", b"a secret that is being replaced now")
)


@dataclass
class NotifiedSystem:
    """Keeps each request, and responds with the statuses in ``answers``, then with 200."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    unblocked: threading.Event = field(default_factory=threading.Event)
    blocking: bool = False
    taken: int = 0

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.requests]

    def messages(self) -> list[Json]:
        return [json.loads(body) for _, body in self.requests]

    def take(self) -> list[Json]:
        """Return the messages that arrived since the last call."""
        found = self.messages()[self.taken :]
        self.taken += len(found)
        return found

    def verified(self, secret: str = SECRET) -> list[Json]:
        """Return the messages. Raise WebhookVerificationError unless ``secret`` signed each of them."""
        return [Webhook(secret).verify(body, headers) for headers, body in self.requests]


@contextmanager
def notified_system() -> Iterator[NotifiedSystem]:
    found = NotifiedSystem()

    class NotificationHandler(BaseHTTPRequestHandler):
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

    server = ThreadingHTTPServer(("127.0.0.1", 0), NotificationHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}/hook?token=in-the-address"
    yield found
    found.unblocked.set()
    server.shutdown()
    thread.join()
    server.server_close()


def write_receivers(path: Path, **urls: str) -> Path:
    """Write the file of the receivers. Each is given by its name, and its new and its old secret sign."""
    tables = [f'[{name}]\nurl = "{url}"\nsecrets = ["{SECRET}", "{OLD_SECRET}"]\n' for name, url in urls.items()]
    path.write_text("\n".join(tables), encoding="utf-8")
    return path


@contextmanager
def another_world(world: World, config: Config) -> Iterator[World]:
    """Yield a world with the same database and Stripe, and with other settings."""
    gateway = build_gateway(config)
    app = create_app(gateway)
    yield replace(world, gateway=gateway, client=app.test_client())
    app.extensions[EXTENSION].close()


def notify(world: World) -> None:
    """Send what is due, as the worker does every few seconds."""
    for name in world.gateway.receivers:
        list(deliver_due(world.gateway, name))


def make_due(world: World | Deployment) -> None:
    """Make every waiting notification due now, and end every pause.

    Do not write to those that are due. A test may call this often, and the sender would wait for their locks.
    """
    with world.gateway.database.transaction() as session:
        session.execute(text("UPDATE notifications SET next_attempt_at = now() WHERE next_attempt_at > now()"))
        session.execute(text("UPDATE receiver_states SET paused_until = NULL"))
