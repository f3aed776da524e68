"""Clients that are slow on purpose must not keep others out. gunicorn's own worker stops with one client per thread."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import orjson
import pytest
import requests

from gateway.commands.serve import THREADS, WORKERS
from gateway.web_server.gunicorn_hooks import worker_connections
from gateway.web_server.gunicorn_worker import ANSWER_TIMEOUT, REQUEST_TIMEOUT
from tests.faults.raw_http import bearer, head
from tests.support.deployment import Deployment

SLOW = WORKERS * THREADS + 6
PROMPT = 5  # seconds in which another client must have its answer
BODY = "Content-Length: 100"
EVENT = {
    "object": "event",
    "type": "charge.succeeded",
    "api_version": "2026-10-28.endive",
    "created": 1,
    "livemode": False,
    "data": {"object": {"id": "ch_1", "object": "charge"}},
}
BEGINNINGS = {
    "nothing": b"",
    "a byte": b"P",
    "a request line": b"POST /webhooks/stripe HTTP/1.1\r\n",
    "some headers": b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nA: b\r\n",
    "all headers": head("POST /webhooks/stripe", BODY),
    "half a body": head("POST /webhooks/stripe", BODY) + b"x" * 50,
    "half a chunk": head("POST /webhooks/stripe", "Transfer-Encoding: chunked") + b"8\r\nxx",
    "half a trailer": head("POST /webhooks/stripe", "Transfer-Encoding: chunked") + b"0\r\nA: ",
    "half a size line": head("POST /webhooks/stripe", "Transfer-Encoding: chunked") + b"8;" + b"x" * 900,
    "headers that expect a continue": head("POST /webhooks/stripe", BODY, "Expect: 100-continue"),
}


@contextmanager
def connected(
    port: int, number: int, beginning: bytes, receive_buffer: int | None = None
) -> Iterator[list[socket.socket]]:
    """Connect and send the beginning of a request, and nothing more."""
    with ExitStack() as connections:
        clients = [connections.enter_context(socket.socket()) for _ in range(number)]
        for each in clients:
            each.settimeout(60)
            if receive_buffer is not None:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            each.connect(("127.0.0.1", port))
            each.sendall(beginning)
        yield clients


def answers_promptly(stage: Deployment) -> bool:
    """Return whether several new clients have their answers soon."""
    began = time.monotonic()
    for _ in range(6):
        assert requests.get(f"http://127.0.0.1:{stage.port}/health/ready", timeout=PROMPT).ok
    return time.monotonic() - began < PROMPT


@pytest.mark.parametrize("beginning", BEGINNINGS.values(), ids=BEGINNINGS)
def test_slow_requests_hold_no_thread(running: Deployment, beginning: bytes) -> None:
    with connected(running.port, SLOW, beginning):
        assert answers_promptly(running)


def test_clients_that_never_close_hold_up_nothing(running: Deployment) -> None:
    request = head("GET /health/live", "Connection: close")
    with connected(running.port, SLOW, request) as clients:
        for each in clients:
            assert each.recv(100).startswith(b"HTTP/1.1 200 ")
        assert answers_promptly(running)


def test_clients_that_do_not_read_hold_threads_only_for_a_while(running: Deployment) -> None:
    request = head("GET /v1/openapi.json", bearer(running, "org_1"))
    with connected(running.port, SLOW, request * 100, receive_buffer=4096):
        health = f"http://127.0.0.1:{running.port}/health/live"
        assert requests.get(health, timeout=2 * ANSWER_TIMEOUT + PROMPT).ok


def test_clients_that_do_not_read_hold_up_no_delivery(running: Deployment) -> None:
    unsigned = head("POST /webhooks/stripe", "Content-Length: 2") + b"{}"

    def flood(client: socket.socket) -> None:
        with suppress(ConnectionError):  # the gateway hangs up
            while True:
                client.sendall(unsigned * 100)

    with connected(running.port, 4, b"", receive_buffer=4096) as clients, ThreadPoolExecutor(4) as threads:
        floods = [threads.submit(flood, each) for each in clients]
        number = 0
        while not all(each.done() for each in floods):
            number += 1
            answer = running.deliver(orjson.dumps({**EVENT, "id": f"evt_flood_{number}"}))
            assert (answer.status_code, answer.elapsed.total_seconds() < PROMPT) == (200, True)
        for each in floods:
            each.result()


def test_more_clients_than_connections_cannot_keep_others_out(running: Deployment) -> None:
    with connected(running.port, 2 * WORKERS * worker_connections, BEGINNINGS["some headers"]):
        assert answers_promptly(running)


def test_request_that_takes_too_long_is_refused(running: Deployment) -> None:
    began = time.monotonic()
    with connected(running.port, 1, BEGINNINGS["half a body"]) as [client]:
        received = b""
        while piece := client.recv(4096):
            received += piece
    assert received.startswith(b"HTTP/1.1 408 ")
    assert b"request_timeout" in received
    assert REQUEST_TIMEOUT - 1 < time.monotonic() - began < REQUEST_TIMEOUT + 10


def test_slow_drip_is_cut_off_at_the_deadline(running: Deployment) -> None:
    began = time.monotonic()
    with connected(running.port, 1, b"GET /health/live HTTP/1.1\r\nA: ") as [client]:
        client.settimeout(0.2)
        while time.monotonic() - began < REQUEST_TIMEOUT + 10:
            try:
                client.sendall(b"x")
                if b"408" in client.recv(100):
                    return
            except TimeoutError:
                continue
    pytest.fail("the gateway never cut the client off")
