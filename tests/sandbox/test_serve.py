"""The blocking server that the command runs."""

import signal
import socket
import subprocess
import sys
import time

import pytest
import requests

from gateway.sandbox import serve
from tests.support.processes import free_port


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_server_runs_until_it_is_stopped(number: signal.Signals) -> None:
    port = free_port()
    program = f"from gateway.sandbox import serve; serve(port={port})"
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        assert is_up(port)
        process.send_signal(number)
        assert process.wait(10) == 0


def is_up(port: int) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            answer = requests.get(f"http://127.0.0.1:{port}/", timeout=5)
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return bool(answer.json()["object"] == "sandbox")
    return False


def test_port_in_use_raises_an_os_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound, pytest.raises(OSError, match="in use"):
        serve(port=int(bound.getsockname()[1]))
