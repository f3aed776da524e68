"""Starts and stops the gateway's processes for the benchmarks and the fault tests."""

import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil

from gateway.commands.serve import OPTIONS, THREADS, WORKERS
from tests.support import forked_gateway
from tests.support.wait import eventually

START_TIMEOUT, STOP_TIMEOUT = 60, 60  # seconds


class Process:
    """A process and its children. They run in their own session and write to one log."""

    def __init__(self, child: subprocess.Popen[bytes] | BaseProcess, log: Path) -> None:
        assert child.pid is not None
        self._child = child
        self._log = log
        self.pid = child.pid

    @property
    def status(self) -> int | None:
        """Return the exit status, or None while the process runs."""
        return self._child.poll() if isinstance(self._child, subprocess.Popen) else self._child.exitcode

    @property
    def alive(self) -> bool:
        """Return whether the process still runs."""
        return self.status is None

    def children(self) -> list[psutil.Process]:
        """Return the child processes, which are gunicorn's workers."""
        return psutil.Process(self.pid).children()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process and its children."""
        os.killpg(self.pid, number)

    def kill(self) -> None:
        """Kill the process and its children with SIGKILL. Wait until all have ended, because they hold ports."""
        children = self.children() if self.alive else []
        self.send(signal.SIGKILL)
        self.wait()
        psutil.wait_procs(children, STOP_TIMEOUT)

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the process but not to its children, as a supervisor does."""
        os.kill(self.pid, signal.SIGTERM)

    def wait(self) -> int:
        """Wait until the process ends and return its exit status."""
        if isinstance(self._child, subprocess.Popen):
            return self._child.wait(STOP_TIMEOUT)
        self._child.join(STOP_TIMEOUT)
        assert self._child.exitcode is not None
        return self._child.exitcode

    def log(self) -> str:
        """Return everything that the process has logged."""
        return self._log.read_text(errors="replace")


@contextmanager
def running(
    arguments: list[str], environment: Mapping[str, str], log: Path, directory: Path | None = None
) -> Iterator[Process]:
    """Run Python in a directory for the length of the block. Kill it and its children even if the block raises."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=directory,
            env=settings(environment),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    with ended(Process(child, log)) as process:
        yield process


@contextmanager
def running_gateway(arguments: list[str], environment: Mapping[str, str], log: Path) -> Iterator[Process]:
    """Run ``gateway ARGUMENTS`` for the length of the block, in a fork of a process that has imported it.

    An import takes a second of CPU, and the fault tests start hundreds of processes.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload([forked_gateway.__name__])
    child = context.Process(target=forked_gateway.run, args=(arguments, settings(environment), log))
    child.start()
    process = Process(child, log)
    eventually(lambda: not process.alive or os.getsid(process.pid) == process.pid)  # signals go to the session
    with ended(process):
        yield process


@contextmanager
def ended(process: Process) -> Iterator[Process]:
    """Kill the process and its children at the end of the block."""
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):  # the whole family may have ended
            process.kill()


def settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with its gateway and Stripe settings replaced by the given ones."""
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(("STRIPE_", "GATEWAY_"))}
    return {**theirs, **environment}


def gunicorn(application: str, port: int) -> list[str]:
    """Return the arguments that ``gateway serve`` gives gunicorn, for any application and without an access log.

    Another application than ours gets gunicorn's own worker class, so that a yardstick holds nothing of ours.
    """
    worker_class = [] if application == "wsgi:app" else ["--worker-class=gthread"]
    quiet = [option for option in OPTIONS if "access-log" not in option]
    size = [f"--workers={WORKERS}", f"--threads={THREADS}"]
    return ["-m", "gunicorn", *worker_class, *size, *quiet, f"--bind=127.0.0.1:{port}", application]


def free_port() -> int:
    """Return a port on which no process listens.

    It lies outside the range from which the kernel chooses for port 0. Otherwise a server of a parallel test could get
    it before our process listens on it.
    """
    while True:
        port = secrets.choice(range(10_000, 32_000))  # Hypothesis seeds ``random`` alike in parallel tests
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def await_port(port: int, process: Process | None = None) -> None:
    """Wait until a process listens on the port. If ``process`` ends instead, fail with its log."""

    def listens() -> bool:
        assert process is None or process.alive, process.log()
        return accepts_connections(port)

    eventually(listens, START_TIMEOUT)


def accepts_connections(port: int) -> bool:
    """Return whether a process listens on the port."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
