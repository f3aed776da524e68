"""A response that drips in ends with the time of its call, and one connection serves ordinary calls."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gateway.errors import StripeUnavailable
from gateway.stripe_api import gate as gates
from gateway.stripe_api.breaker import Breaker
from gateway.stripe_api.client import stripe_call, stripe_client
from gateway.stripe_api.gate import Gate, Share

BODY = b'{"id": "cus_1", "object": "customer"}'
STARTS = {"status": b"HTTP/1.1 200 " + b"O" * 50, "headers": b"HTTP/1.1 200 OK\r\nRequest-Id: " + b"r" * 30}
PAUSE = 0.2  # seconds between two bytes, far less than each timeout of a socket


@contextmanager
def slow_stripe(*, dripping: str = "", chunked: bool = False) -> Iterator[tuple[str, set[object]]]:
    """Run a server. Yield its address, and the addresses of the connections that it got.

    ``dripping`` names the part of the response that arrives byte by byte: its "status", its "headers" or its "body".
    """
    connections: set[object] = set()
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            connections.add(self.client_address)
            if dripping in STARTS and self.drips(STARTS[dripping]):
                return
            self.send_response(200)
            self.send_header("Request-Id", "req_1")
            if self.path.endswith("cus_last"):
                self.send_header("Connection", "close")  # or the client's socket would outlive the test
            self.send_header(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(BODY)))))
            self.end_headers()
            for byte in BODY:
                part = bytes([byte])
                self.wfile.write(b"1\r\n" + part + b"\r\n" if chunked else part)
                if dripping == "body" and ended.wait(PAUSE):
                    return
            self.wfile.write(b"0\r\n\r\n" if chunked else b"")

        def drips(self, start: bytes) -> bool:
            """Send the start of a response byte by byte. Return whether the test ended before the response did."""
            for byte in start:
                self.wfile.write(bytes([byte]))
                if ended.wait(PAUSE):
                    return True
            return False

        def log_message(self, *_: object) -> None:
            """Suppress the log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", connections
        finally:
            ended.set()
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("dripping", "chunked"), [("status", False), ("headers", False), ("body", False), ("body", True)]
)
def test_dripping_response_ends_with_the_requests_time(
    monkeypatch: pytest.MonkeyPatch, dripping: str, *, chunked: bool
) -> None:
    monkeypatch.setattr(gates, "PERSON_WAITS", 1.0)
    gate = Gate(Breaker(), Share(size=1, waiting=0, patience=0))
    gate.begin_request()
    monkeypatch.setattr(gates, "SHORTEST_CALL", 0.5)
    with slow_stripe(dripping=dripping, chunked=chunked) as (url, _):
        began = time.monotonic()
        with pytest.raises(StripeUnavailable), stripe_call():
            stripe_client("sk_test_unit", url, None, gate).v1.customers.retrieve("cus_1")
        assert time.monotonic() - began < PAUSE * len(BODY)
    gate.end_request()


@pytest.mark.parametrize("chunked", [False, True])
def test_calls_share_a_connection(*, chunked: bool) -> None:
    gate = Gate(Breaker(), Share(size=1, waiting=0, patience=0))
    with slow_stripe(chunked=chunked) as (url, connections):
        stripe = stripe_client("sk_test_unit", url, None, gate)
        for customer in ("cus_1", "cus_2", "cus_last"):
            assert stripe.v1.customers.retrieve(customer).id == "cus_1"
        assert len(connections) == 1
