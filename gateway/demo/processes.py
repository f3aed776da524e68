"""Start and watch the demo's processes, and stop them in reverse order."""

import fcntl
import os
import shlex
import shutil
import signal
import socket
import subprocess  # nosec B404  # it starts our own commands, with fixed arguments
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import click
import requests

START_TIMEOUT, STOP_TIMEOUT = 30, 15  # seconds
SPACE = 300 << 20  # bytes


class DemoError(OSError):
    """The demo cannot start or continue. The message says what to do."""


def require_free_port(port: int, option: str) -> None:
    """Raise DemoError if something already listens on ``port``."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise DemoError(f"port {port} is taken. Choose another one with {option}.") from error


def require_space(directory: Path) -> None:
    """Raise DemoError if the disk of ``directory`` has no space for a database and its logs."""
    free = shutil.disk_usage(directory).free
    if free < SPACE:
        advice = "Free some space, or choose another disk with --data-dir (TMPDIR for the tests)."
        raise DemoError(f"{directory} has {free >> 20} MB left, and PostgreSQL needs {SPACE >> 20} MB. {advice}")


@contextmanager
def only_demo_in(directory: Path) -> Iterator[None]:
    """Lock ``directory`` for the length of the block. Raise DemoError if another demo holds it."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        opened = (directory / "lock").open("w")
    except PermissionError as error:
        advice = f"Remove it with `sudo rm -r {shlex.quote(str(directory))}`, or choose another one with --data-dir."
        raise DemoError(f"{directory} belongs to another user, as after a demo with sudo. {advice}") from error
    with opened as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DemoError(f"another demo runs in {directory}. Choose another directory with --data-dir.") from error
        yield


def end_leftovers(logs: Path) -> None:
    """End the processes that a killed demo has left behind. They would hold the ports of the next one.

    Such a process still locks its file, so the number in the file cannot be that of another process.
    """
    for path in sorted(logs.glob("*.pid")):
        with path.open() as file:
            if gets_lock(file, 0):
                continue
            process = int(file.read())
            click.echo(f"Ending {path.stem} (process {process}), which a killed demo has left behind.")
            for number in (signal.SIGTERM, signal.SIGKILL):
                with suppress(ProcessLookupError):
                    os.killpg(process, number)
                if gets_lock(file, STOP_TIMEOUT):
                    break


def gets_lock(file: IO[str], seconds: float) -> bool:
    """Return whether the file's lock can be taken in time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        else:
            return True


class Child:
    """A process that runs ``gateway ARGUMENTS`` and writes its output to a log.

    It has its own session, so Ctrl-C reaches only the demo, which then stops its processes in order.
    """

    def __init__(self, name: str, arguments: list[str], environment: Mapping[str, str], logs: Path) -> None:
        self.name = name
        self._command = [sys.executable, "-m", "gateway", *arguments]
        self._environment = {**os.environ, **environment}
        self._log = logs / f"{name}.log"
        self._pid = logs / f"{name}.pid"
        logs.mkdir(parents=True, exist_ok=True)
        self._log.write_bytes(b"")
        self._process = self._start()

    def require_alive(self) -> None:
        """Raise DemoError with the last lines of the log if the process has ended."""
        if (ending := self.ending()) is not None:
            last = [line[:200] for line in self._log.read_text(errors="replace").splitlines()[-8:]]
            raise DemoError("\n".join([f"{self.name} {ending}, see {self._log}", *last]))

    def restart_if_dead(self) -> None:
        """Start the process again if it has ended, as a supervisor does in production."""
        if (ending := self.ending()) is not None:
            click.echo(f"{self.name} {ending}. Starting it again.")
            self._process = self._start()

    def ending(self) -> str | None:
        """Return how the process ended, or None while it runs."""
        status = self._process.poll()
        if status is None:
            return None
        return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"

    def stop(self) -> None:
        """Ask the process to end, and kill it if it takes too long."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as output, self._pid.open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)  # the process inherits the lock, and holds it until it ends
            process = subprocess.Popen(  # nosec B603  # noqa: S603 - our own command
                self._command,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[held.fileno()],
            )
            held.write(str(process.pid))
            return process


@contextmanager
def running(name: str, arguments: list[str], environment: Mapping[str, str], logs: Path) -> Iterator[Child]:
    """Run ``gateway ARGUMENTS`` for the length of the block."""
    child = Child(name, arguments, environment, logs)
    try:
        yield child
    finally:
        child.stop()


def wait_for(url: str, child: Child) -> None:
    """Wait until ``url`` answers 200. Raise DemoError if the process dies or takes too long."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        child.require_alive()
        try:
            if requests.get(url, timeout=2).ok:
                return
        except requests.RequestException:
            pass  # not listening yet, or not answering yet
        time.sleep(0.05)
    raise DemoError(f"{url} did not answer within {START_TIMEOUT} seconds.")
