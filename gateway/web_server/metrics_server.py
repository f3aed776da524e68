"""Serve ``GET /metrics`` on an address of its own, which the proxy in front of the gateway does not reach.

``gateway serve`` listens on the address, and hands the socket on to gunicorn's processes. Each process answers in one
thread beside those for requests, so a busy gateway can be scraped and a scrape holds up no request. Every process can
answer for all of them (see ``gateway.metrics``), so one that dies is not missed.
"""

import os
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import structlog
from flask import Flask
from prometheus_client import CONTENT_TYPE_LATEST

from gateway.endpoints import metrics
from gateway.endpoints.request_context import EXTENSION
from gateway.services.runtime import Gateway
from gateway.web_server.metrics_listener import LISTENER

SLOWEST = 5  # seconds that a client may take for its request

log = structlog.get_logger()


def start(app: Flask) -> None:
    """Serve the metrics in a thread, if this process was given a socket for them."""
    if LISTENER in os.environ:
        server = MetricsServer(int(os.environ[LISTENER]), app.extensions[EXTENSION].gateway)
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


class MetricsServer(HTTPServer):
    """Answers one scrape at a time."""

    def __init__(self, listener: int, gateway: Gateway) -> None:
        super().__init__(("", 0), MetricsHandler, bind_and_activate=False)
        self.socket.close()
        self.socket = socket.socket(fileno=os.dup(listener))
        self.socket.setblocking(False)  # the processes share the socket, so another one may have taken the connection
        self.gateway = gateway

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class passes them
        """Log a scrape that failed, such as one whose client went away."""
        log.warning("metrics_not_served", exc_info=sys.exception())


class MetricsHandler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: MetricsServer
    timeout = SLOWEST

    def do_GET(self) -> None:
        """Answer with the metrics."""
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404)
            return
        body = metrics.render(self.server.gateway)
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE_LATEST)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing. A scrape every few seconds would hide the rest."""
