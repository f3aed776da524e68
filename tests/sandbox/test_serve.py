"""The blocking server that the command runs."""

import signal
import socket
import subprocess
import sys
from contextlib import suppress

import pytest
import requests

from gateway.sandbox import serve
from tests.support.processes import free_port
from tests.support.wait import eventually


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_server_runs_until_it_is_stopped(number: signal.Signals) -> None:
    port = free_port()
    program = f"from gateway.sandbox import serve; serve(port={port})"
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        eventually(lambda: is_up(port))
        process.send_signal(number)
        assert process.wait(10) == 0


def is_up(port: int) -> bool:
    with suppress(requests.ConnectionError):
        return bool(requests.get(f"http://127.0.0.1:{port}/", timeout=5).json()["object"] == "sandbox")
    return False


def test_port_in_use_raises_an_os_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound, pytest.raises(OSError, match="in use"):
        serve(port=int(bound.getsockname()[1]))
