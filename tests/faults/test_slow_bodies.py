"""Clients that send their bodies byte by byte must not delay the deliveries of others."""

import socket
from contextlib import ExitStack

from tests.faults.burst import Burst
from tests.support.bulk_events import requests
from tests.support.deployment import Deployment

SLOW = 16


def test_slow_bodies_do_not_delay_other_deliveries(running: Deployment) -> None:
    *fast, slow = requests(100, 100)
    with ExitStack() as connections:
        slow_ones = [
            connections.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=30))
            for _ in range(SLOW)
        ]
        for each in slow_ones:
            each.sendall(slow[:-100])
        with Burst(running.port, fast) as burst:
            burst.start()
            for left in range(100, 10, -1):
                for each in slow_ones:
                    each.sendall(slow[-left : 1 - left])
            burst.finish(10)
        for each in slow_ones:
            each.sendall(slow[-10:])
            assert each.recv(4096).startswith(b"HTTP/1.1 200 "), "the gateway answered before the whole body arrived"
    assert (burst.cut, burst.refusals) == (0, {})
