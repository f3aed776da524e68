"""The web worker collects the deliveries that have arrived, within the limit of its connections."""

import selectors
import socket
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any

import pytest

from gateway.services.webhooks.endpoint_check import WEBHOOK_PATH
from gateway.web_server.exchange import Connection
from gateway.web_server.gunicorn_worker import GatewayWorker

DELIVERY = f"POST {WEBHOOK_PATH} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{{}}".encode()


class Collecting(GatewayWorker):
    """A worker whose delivery thread only notes the groups."""

    def __init__(self, most: int) -> None:
        """Begin without connections. gunicorn's own constructor would start a whole process."""
        self.cfg, self.poller, self.nr_conns, self.worker_connections = None, selectors.DefaultSelector(), 0, most
        self.pending_conns, self.deliveries, self.is_delivering = deque[Connection](), [], False
        self.groups: list[list[Connection]] = []
        self.delivery_thread: Any = self

    def submit(self, _handle: Callable[..., Any], group: list[Connection]) -> Future[list[bool]]:
        """Note a group."""
        self.groups.append(group)
        return Future()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Return a socket that accepts connections."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as created:
        created.setblocking(False)
        yield created


def collect(listener: socket.socket, arriving: int, most: int) -> Collecting:
    """Let deliveries arrive on connections of their own, and return the worker after one turn of its loop."""
    worker = Collecting(most)
    worker.poller.register(listener, selectors.EVENT_READ, worker.accept)
    with ExitStack() as clients:
        for _ in range(arriving):
            clients.enter_context(socket.create_connection(listener.getsockname())).sendall(DELIVERY)
        worker.wait_for_and_dispatch_events(1)
    for conn in worker.deliveries or worker.groups[0]:
        conn.sock.close()
    worker.poller.close()
    return worker


def test_deliveries_that_arrive_meanwhile_join_the_group(listener: socket.socket) -> None:
    assert [len(group) for group in collect(listener, arriving=5, most=10).groups] == [5]


def test_full_process_accepts_no_more(listener: socket.socket) -> None:
    worker = collect(listener, arriving=20, most=10)
    assert (worker.nr_conns, [len(group) for group in worker.groups]) == (10, [10])
