"""Clients that send their bodies drop by drop occupy threads of gunicorn; the deliveries of others must go on."""

import socket
from contextlib import ExitStack

from tests.faults.burst import Burst
from tests.support.bulk_events import requests
from tests.support.deployment import Deployment

SLOW = 16


def test_deliveries_are_acknowledged_while_others_send_their_bodies_drop_by_drop(running: Deployment) -> None:
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
            for drop in range(100, 10, -1):
                for each in slow_ones:
                    each.sendall(slow[-drop : 1 - drop])
            burst.finish(10)
        for each in slow_ones:
            each.sendall(slow[-10:])
            assert each.recv(4096).startswith(b"HTTP/1.1 200 "), "it had its answer before its body was there"
    assert (burst.cut, burst.refusals) == (0, {})
