"""The demo's processes: started, watched, and stopped in the reverse order."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import requests

START_TIMEOUT, STOP_TIMEOUT = 30, 15  # seconds


class DemoError(OSError):
    """Something kept the demo from starting; the message says what to do."""


def require_free_port(port: int, option: str) -> None:
    """Raises DemoError if something listens on ``port`` already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise DemoError(f"port {port} is taken; choose another one with {option}.") from error


@contextmanager
def only_demo_in(directory: Path) -> Iterator[None]:
    """Hold ``directory`` for the length of the block. Raises DemoError if another demo does."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DemoError(f"another demo runs in {directory}; choose another directory with --data-dir.") from error
        yield


@contextmanager
def running(
    name: str, arguments: list[str], environment: Mapping[str, str], logs: Path
) -> Iterator[Callable[[], None]]:
    """Run ``gateway ARGUMENTS`` for the length of the block; gives a function that raises DemoError once it is dead.

    In a session of its own: Ctrl-C reaches the demo alone, which then stops its processes in order.
    """
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "gateway", *arguments],
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def check() -> None:
        if process.poll() is not None:
            died(name, log)

    try:
        yield check
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def died(name: str, log: Path) -> NoReturn:
    """Raise DemoError with the last words of a process."""
    last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    raise DemoError(f"{name} stopped unexpectedly; the end of {log}:\n{last}")


def wait_for(url: str, check: Callable[[], None]) -> None:
    """Wait until ``url`` answers 200. Raises DemoError if the process dies or takes too long."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        check()
        try:
            if requests.get(url, timeout=2).ok:
                return
        except requests.RequestException:
            pass  # not listening yet, or not answering yet
        time.sleep(0.05)
    raise DemoError(f"{url} did not answer within {START_TIMEOUT} seconds.")
