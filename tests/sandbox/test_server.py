"""The server that keeps its connections."""

import socket
import threading
from typing import Any

from flask import Flask

from gateway.sandbox.server import Server
from tests.support.wait import eventually


class SlowThreads(Server):
    """A server whose threads wait before they do anything, as on a busy machine."""

    def __init__(self) -> None:
        super().__init__(Flask("slow"))
        self.accepted, self.go_on = threading.Event(), threading.Event()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self.accepted.set()
        assert self.go_on.wait(10)
        super().process_request_thread(request, client_address)


def test_close_does_not_wait_for_a_client_that_connects_meanwhile() -> None:
    server = SlowThreads()
    serving = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    serving.start()
    with socket.create_connection(("127.0.0.1", server.port)):
        assert server.accepted.wait(10)
        server.shutdown()
        eventually(lambda: server.socket.fileno() == -1)  # by now `server_close` has hung up
        server.go_on.set()
        serving.join(10)  # it closes the server at its end
        assert not serving.is_alive()
