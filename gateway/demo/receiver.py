"""Konnect's own system, which the gateway notifies in the demo."""

import base64
import secrets
import threading
from contextlib import ExitStack
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError


def start_receiver(resources: ExitStack, data_dir: Path) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Start a receiver of notifications. Return its settings, and the list to which it appends each message."""
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"
    webhook, messages = Webhook(secret), list[dict[str, Any]]()

    class Receiver(BaseHTTPRequestHandler):
        """Accepts each signed message."""

        def do_POST(self) -> None:
            """Verify and keep a message."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                messages.append(webhook.verify(body, {name.lower(): value for name, value in self.headers.items()}))
                self.send_response(HTTPStatus.NO_CONTENT)
            except WebhookVerificationError:
                self.send_response(HTTPStatus.BAD_REQUEST)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Print nothing between the lines of the story."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    resources.callback(server.server_close)
    resources.callback(server.shutdown)
    path = data_dir.resolve() / "receivers.toml"
    path.touch(mode=0o600)
    path.write_text(f'[konnect]\nurl = "http://127.0.0.1:{server.server_port}"\nsecrets = ["{secret}"]\n')
    return {"GATEWAY_RECEIVERS": str(path)}, messages
