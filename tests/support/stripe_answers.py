"""A server that gives one fixed answer in place of Stripe."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextmanager
def stripe_that_answers(status: int, answer: Any) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Run a server that always gives this answer. Yield its address and the headers of the requests it received."""
    seen: list[dict[str, str]] = []

    class AnswerHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(dict(self.headers))
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Stripe-Should-Retry", "false")
            self.send_header("Request-Id", "req_1")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Suppress the log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), AnswerHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()
            thread.join()
