"""Runs ``gateway demo`` as a person does, with real processes, from an empty directory to the end of its story."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import psutil
import pytest
import requests

from tests.support.leaks import find_leaks
from tests.support.processes import free_port
from tests.support.wait import eventually


def read_until(output: IO[str], words: str) -> str:
    """Read the output until it contains ``words``, and return it."""
    seen = ""
    while words not in seen:
        line = output.readline()
        assert line, f"the output ended without {words!r}: {seen}"
        seen += line
    return seen


def arguments(directory: Path, port: int, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "gateway", "demo", f"--port={port}"),
        *(f"--metrics-port={free_port()}", f"--sandbox-port={free_port()}", f"--data-dir={directory / 'demo'}", *more),
    ]


@pytest.fixture
def directory() -> Iterator[Path]:
    """Create a directory that another user can read.

    Each new pytest run closes pytest's own directory to other users. When root runs the tests, PostgreSQL runs as
    another user.
    """
    with TemporaryDirectory(prefix="gateway-tests-") as path:
        yield Path(path)


@pytest.fixture
def environment() -> dict[str, str]:
    """Return the environment without the Stripe and gateway settings of the person who runs the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("STRIPE_", "GATEWAY_"))}


def assert_success(output: str, directory: Path) -> None:
    """Check that each step of the story succeeded, and that no log holds a secret."""
    assert "Every step came out right." in output
    assert "✗" not in output
    assert output.count("from webhooks alone") == 2
    assert find_leaks("".join(each.read_text() for each in directory.glob("demo/logs/*.log"))) == []


@pytest.mark.long
def test_story_ends_by_itself(directory: Path, environment: dict[str, str]) -> None:
    command = arguments(directory, free_port(), "--exit")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_success(done.stdout, directory)


@pytest.mark.parametrize(
    "end",
    [signal.SIGINT, pytest.param(signal.SIGHUP, marks=pytest.mark.long)],
    ids=["Ctrl-C", "the terminal is closed"],
)
def test_story_succeeds_and_its_end_stops_all_processes(
    directory: Path, environment: dict[str, str], end: signal.Signals
) -> None:
    port = free_port()
    with subprocess.Popen(
        arguments(directory, port), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as demo:
        assert demo.stdout is not None
        assert_success(read_until(demo.stdout, "keeps serving"), directory)
        assert requests.get(f"http://127.0.0.1:{port}/health/ready", timeout=5).ok
        family = psutil.Process(demo.pid).children(recursive=True)
        worker = next(each for each in family if each.cmdline()[-1] == "worker")
        worker.kill()
        read_until(demo.stdout, "Starting it again")
        family += psutil.Process(demo.pid).children(recursive=True)
        second = [*arguments(directory, free_port(), "--exit")]
        done = subprocess.run(second, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, "another demo runs in" in done.stderr) == (1, True)
        demo.send_signal(end)
        assert demo.wait(30) == 0
    eventually(lambda: not any(each.is_running() for each in family))


def test_taken_port_is_reported_in_one_line(directory: Path, environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = arguments(directory, port, "--exit")
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == f"gateway: port {port} is taken. Choose another one with --port.\n"


def test_live_key_is_refused(directory: Path, environment: dict[str, str]) -> None:
    command = arguments(directory, free_port(), "--exit")
    live = {**environment, "STRIPE_SECRET_KEY": "sk_live_1"}
    done = subprocess.run(command, env=live, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "live key" in done.stderr
