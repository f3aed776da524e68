"""Web processes are replaced under load, and every request gets its answer."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import psutil
import pytest
import requests

from tests.faults.burst import Burst
from tests.faults.merged import acknowledged_but_lost, one_event_each
from tests.support.deployment import Deployment
from tests.support.processes import Process, await_port, ended, free_port, settings
from tests.support.wait import eventually

RESTARTS = 2
# Deliveries, half of them on new connections. A process that did not answer would soon hold up the whole burst.
ENOUGH = 200
# As systemd starts a service that takes over a socket. The socket is file number 3.
TAKE_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


@pytest.fixture
def deliveries(own: Deployment) -> Sequence[bytes]:
    """Build deliveries for half a minute. Every other one closes its connection, so there are always new ones."""
    made = [*one_event_each(own, 1_000)] * 60
    once = (b"\r\nHost:", b"\r\nConnection: close\r\nHost:")
    return [each.replace(*once, 1) if number % 2 else each for number, each in enumerate(made)]


def await_progress(burst: Burst) -> None:
    """Wait until all web processes have answered deliveries since now."""
    goal = burst.waiting - ENOUGH
    eventually(lambda: burst.waiting < goal)


def assert_none_lost(stage: Deployment, burst: Burst) -> None:
    burst.stop()
    assert burst.waiting > 0, "the burst ended too early"
    assert (burst.cut, burst.unreachable, dict(burst.refusals)) == (0, 0, {})
    assert acknowledged_but_lost(stage, burst.acknowledged) == set()


@pytest.mark.long
def test_hup_replaces_the_processes_without_losing_requests(own: Deployment, deliveries: Sequence[bytes]) -> None:
    web = own.serve()
    with Burst(own.port, deliveries) as burst:
        burst.start()
        for _ in range(RESTARTS):
            await_progress(burst)  # a process that has just been forked would miss the signal to end
            old = web.children()
            os.kill(web.pid, signal.SIGHUP)
            psutil.wait_procs(old, timeout=60)
            assert not any(each.is_running() for each in old)
        await_progress(burst)
        assert_none_lost(own, burst)


@contextmanager
def serving_on(listener: socket.socket, stage: Deployment) -> Iterator[Process]:
    """Run ``gateway serve`` on a socket that is open already, and wait until one of its processes is ready."""
    log, metrics = stage.logs / "web.log", f"127.0.0.1:{free_port()}"
    gateway = ["-m", "gateway", "serve", f"--metrics-bind={metrics}"]
    with log.open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-c", TAKE_OVER, str(listener.fileno()), *gateway],
            env=settings(stage.environment),
            stdout=output,
            stderr=output,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
    with ended(Process(child, log)) as process:
        await_port(int(metrics.rpartition(":")[2]), process)
        assert requests.get(f"http://{metrics}/metrics", timeout=60).ok
        yield process


@pytest.mark.long
def test_restarts_one_after_the_other_lose_no_request(own: Deployment, deliveries: Sequence[bytes]) -> None:
    with (
        socket.create_server(("127.0.0.1", own.port)) as listener,
        ExitStack() as processes,
        Burst(own.port, deliveries) as burst,
    ):
        running = [processes.enter_context(serving_on(listener, own)) for _ in range(2)]
        burst.start()
        for _ in range(RESTARTS):
            await_progress(burst)
            oldest = running.pop(0)
            oldest.ask_to_stop()
            assert oldest.wait() == 0
            running.append(processes.enter_context(serving_on(listener, own)))
        assert_none_lost(own, burst)
