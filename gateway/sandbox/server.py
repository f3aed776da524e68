"""The sandbox as an HTTP server on a loopback socket."""

import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import BytesIO
from typing import Any, Self

from flask import Flask
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wrappers import Response

from gateway.sandbox import control
from gateway.sandbox.clock import Clock
from gateway.sandbox.engine import Engine
from gateway.sandbox.faults import Faults
from gateway.sandbox.ids import Ids
from gateway.sandbox.outbox import Outbox
from gateway.sandbox.store import Store, Tables
from gateway.sandbox.web import create_app

HOST = "127.0.0.1"
_CHECK_INTERVAL = 0.5
RETRY_DELAYS = (1, 5, 25, 125)
"""Seconds between the attempts of a webhook delivery. They add up to minutes, while Stripe retries for days."""


class Sandbox:
    """A local Stripe, which ``with Sandbox() as sandbox: …`` starts and closes.

    The object holds all state. ``clock`` returns unix seconds. ``signing_clock`` is the clock of those who receive
    webhooks, which is usually this machine's. ``seed`` makes the ids reproducible. Port 0 selects a free port. Raise
    OSError if the port is taken.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        clock: Callable[[], float] = time.time,
        signing_clock: Callable[[], float] = time.time,
        seed: int | str | None = None,
        retry_delays: Sequence[float] = RETRY_DELAYS,
    ) -> None:
        ids, store, faults, lock = Ids(seed), Store(), Faults(), threading.Lock()
        self._outbox = Outbox(
            store=store,
            ids=ids,
            faults=faults,
            lock=lock,
            retry_delays=retry_delays,
            signing_clock=signing_clock,
        )
        self._clock = Clock(clock)
        self._engine = Engine(
            clock=self._clock, ids=ids, deliver=self._outbox.send, store=store, faults=faults, lock=lock
        )
        self.app = create_app(self._engine, control.blueprint(self._engine, self._clock, self._outbox))
        self._server = Server(self.app, port)
        self.url = f"http://{HOST}:{self._server.port}"
        self._engine.url = self.url
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), name="sandbox-http", daemon=True
        )
        self._time = threading.Thread(target=self._run_clock, name="sandbox-time", daemon=True)
        self._closed = threading.Event()
        self._started = False

    def start(self) -> Self:
        """Serve requests and deliver webhooks from background threads."""
        self._started = True
        self._outbox.deliverer.start()
        self._thread.start()
        self._time.start()
        return self

    def close(self) -> None:
        """Stop serving and delivering. No thread and no socket stays open."""
        self._engine.faults.clear()  # otherwise a delayed request would hold up the shutdown
        if self._started:
            self._closed.set()
            self._engine.time.wake.set()
            self._time.join()
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._outbox.deliverer.close()

    def save(self) -> Tables:
        """Return all objects, for ``load``. Idempotency keys and requested faults are not among them."""
        with self._engine.lock:
            return self._engine.store.copy()

    def load(self, objects: Tables) -> None:
        """Add the objects of another sandbox, and do later what they make due."""
        with self._engine.lock:
            self._engine.store.commit(objects)
            self._engine.time.watch(objects)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _run_clock(self) -> None:
        """Do what falls due between requests. A request itself never sees anything overdue."""
        while not self._closed.is_set():
            self._engine.let_time_pass()
            self._engine.time.wake.wait(_CHECK_INTERVAL)
            self._engine.time.wake.clear()


class Server(ThreadedWSGIServer):
    """A server with a thread for each connection. All of them end before ``server_close()`` returns."""

    daemon_threads = False

    def __init__(self, app: Flask, port: int = 0) -> None:
        self.open: set[socket.socket] = set()
        # Werkzeug would end the whole process if the port is taken. Binding the socket here raises OSError instead.
        with socket.create_server((HOST, port)) as bound:
            super().__init__(HOST, bound.getsockname()[1], app, handler=_Handler, fd=bound.fileno())

    def process_request(self, request: Any, client_address: Any) -> None:
        """Note the connection before its thread starts. ``server_close`` must not miss one that it then waits for."""
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection, whose thread ends."""
        self.open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Hang up on clients that keep their connections, and wait for the threads that still answer."""
        for connection in list(self.open):
            with suppress(OSError):  # the client may hang up at the same time
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()


class _Handler(WSGIRequestHandler):
    """Answers requests and keeps the connection, as Stripe does. Werkzeug would close it after each answer."""

    disable_nagle_algorithm = True  # waiting for more to send would cost 40 ms per answer

    def run_wsgi(self) -> None:
        """Read the whole request, because the next one follows it on the connection. Send the answer in one write."""
        environ = self.make_environ()
        chunked = "wsgi.input_terminated" in environ
        sent = environ["wsgi.input"] if chunked else self.rfile
        environ["wsgi.input"] = BytesIO(sent.read(None if chunked else int(self.headers.get("Content-Length", 0))))
        answer = Response.from_app(self.server.app, environ, buffered=True)
        self.send_response_only(answer.status_code)  # the app sets the Date header from the sandbox's clock
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.get_data())

    def log(self, *_words: object) -> None:
        """Log nothing, because the client logs its calls."""
