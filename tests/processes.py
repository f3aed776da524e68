"""Processes of ours, as the benchmarks and the tests of faults run them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from gateway.cli import OPTIONS, THREADS, WORKERS

START_TIMEOUT, STOP_TIMEOUT = 60, 60  # seconds


class Process:
    """A Python process and its children, in a session of their own, their output in a log."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                env=settings(environment),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.pid = self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def children(self) -> list[psutil.Process]:
        """Gunicorn's workers."""
        return psutil.Process(self.pid).children()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all of the family."""
        os.killpg(self.pid, number)

    def kill(self) -> None:
        """``kill -9`` of all of the family."""
        self.send(signal.SIGKILL)
        self._process.wait()

    def ask_to_stop(self) -> None:
        """SIGTERM, to the first of the family alone, as a supervisor does."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Wait until it has ended; gives its status."""
        return self._process.wait(STOP_TIMEOUT)

    def log(self) -> str:
        """What it has said."""
        return self._log.read_text(errors="replace")


@contextmanager
def running(arguments: list[str], environment: Mapping[str, str], log: Path) -> Iterator[Process]:
    """A process, killed with the block: nothing of its family stays, however the block or the process end."""
    process = Process(arguments, environment, log)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):  # nobody may be left
            process.kill()


def settings(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without the settings of the one who runs this, but for those given."""
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(("STRIPE_", "GATEWAY_"))}
    return {**theirs, **environment}


def gunicorn(application: str, port: int) -> list[str]:
    """Return the arguments with which ``gateway serve`` runs gunicorn, silent about each request.

    Another application than ours gets gunicorn's own worker class, so that a yardstick holds nothing of ours.
    """
    worker_class = [] if application == "wsgi:app" else ["--worker-class=gthread"]
    quiet = [option for option in OPTIONS if "access-log" not in option]
    size = [f"--workers={WORKERS}", f"--threads={THREADS}"]
    return ["-m", "gunicorn", *worker_class, *size, *quiet, f"--bind=127.0.0.1:{port}", application]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def await_port(port: int) -> None:
    """Wait until somebody listens on it."""
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
