"""The ways in which the faults strike. Each one lasts for the length of its block."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil
import psycopg
import requests

from tests.chaos.stage import Stage
from tests.support.hosts import FAR, PORT, cut, linked, reachable, standby
from tests.support.pgbouncer import IGNORES_SETTINGS, pgbouncer
from tests.support.postgres import END_LISTENER, refused_connections
from tests.support.wait import eventually

END_ALL = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = %s AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
# Sessions that have locked organizations and get no statement. FOR UPDATE locks the table in this mode too.
HOLDING = """
    SELECT count(*) FROM pg_stat_activity JOIN pg_locks USING (pid)
    WHERE state = 'idle in transaction' AND state_change < now() - make_interval(secs => %s)
    AND relation = 'organizations'::regclass AND mode = 'RowShareLock'
"""
SUSPENDED = 0.3  # seconds after which a session without a statement belongs to a suspended process
NEWEST_WORKER = "SELECT coalesce(max(id), 0) FROM procrastinate_workers"
DATABASE = "gateway"
PROBERS, PROBE_EVERY = 4, 0.1  # clients, and seconds between two requests of each
AFTER_RESTART = 15  # seconds until the load goes on as before after the worker was killed
FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
pause = threading.Event().wait


@contextmanager
def session(stage: Stage, database: str = DATABASE) -> Iterator[psycopg.Connection]:
    """Open a session of an operator, which the gateway's settings do not concern."""
    url = stage.direct_url.replace("/gateway?", f"/{database}?")
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@contextmanager
def exhausted_connections(stage: Stage) -> Iterator[None]:
    """Refuse new connections, and end the one that listens."""
    with session(stage, "postgres") as admin, refused_connections(admin, DATABASE, END_LISTENER):
        yield


@contextmanager
def restarted(stage: Stage) -> Iterator[None]:
    """Crash the server, and start it again at the end."""
    with stage.server.crashed():
        yield


@contextmanager
def killed_sessions(stage: Stage) -> Iterator[None]:
    """End all sessions every two seconds."""
    over = threading.Event()

    def kill() -> None:
        while not over.wait(2):
            with session(stage, "postgres") as admin:
                admin.execute(END_ALL, [DATABASE])

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        over.set()
        killer.join()


def locked(statement: str) -> Callable[[Stage], AbstractContextManager[None]]:
    """Return a fault that holds a lock in an open transaction."""

    @contextmanager
    def strike(stage: Stage) -> Iterator[None]:
        with psycopg.connect(stage.direct_url) as connection:
            connection.execute(statement.encode())
            yield

    return strike


@contextmanager
def answered(stage: Stage, timeout: float) -> Iterator[None]:
    """Ask for liveness on new connections, and check that each request is answered."""
    live = f"http://127.0.0.1:{stage.gateway.port}/health/live"
    over = threading.Event()
    failures: list[str] = []

    def probe() -> None:
        while not over.wait(PROBE_EVERY):
            try:
                requests.get(live, timeout=timeout).raise_for_status()
            except requests.RequestException as error:
                failures.append(repr(error))

    probers = [threading.Thread(target=probe) for _ in range(PROBERS)]
    for each in probers:
        each.start()
    try:
        yield
    finally:
        over.set()
        for each in probers:
            each.join()
    assert failures == [], failures


@contextmanager
def locked_inbox(stage: Stage) -> Iterator[None]:
    """Lock the inbox. Liveness must be answered all the time."""
    with locked("LOCK TABLE webhook_events")(stage), answered(stage, 2):
        yield


@contextmanager
def hung_worker(stage: Stage) -> Iterator[None]:
    """Suspend one of two workers while it holds a batch. PostgreSQL ends the batch after 15 seconds."""
    hung, newest = stage.worker, stage.number(NEWEST_WORKER)
    assert hung is not None
    with stage.another_worker():
        eventually(lambda: stage.number(NEWEST_WORKER) > newest)
        hung.send(signal.SIGSTOP)
        pause(2 * SUSPENDED)
        while stage.number(HOLDING, SUSPENDED) <= 0:  # it was between two batches, or had not locked anything yet
            hung.send(signal.SIGCONT)
            pause(SUSPENDED)
            hung.send(signal.SIGSTOP)
            pause(2 * SUSPENDED)
        yield
        hung.send(signal.SIGCONT)


@contextmanager
def replaced_processes(stage: Stage) -> Iterator[None]:
    """Replace the web processes twice, as after a new catalogue. No request may be lost."""
    assert stage.web is not None
    with answered(stage, 10):
        for _ in range(2):
            old = stage.web.children()
            os.kill(stage.web.pid, signal.SIGHUP)
            psutil.wait_procs(old, timeout=30)
            assert not any(each.is_running() for each in old)
        yield


@contextmanager
def behind_pooler(stage: Stage) -> Iterator[None]:
    """Start web and worker behind PgBouncer in transaction mode, and correct the setting at the end."""
    direct = stage.gateway.environment["GATEWAY_DATABASE_URL"]
    with pgbouncer(direct, "transaction", IGNORES_SETTINGS) as url:
        stage.move_to(url)
        yield
    stage.move_to(direct)


@contextmanager
def read_only(stage: Stage) -> Iterator[None]:
    """Make all sessions refuse writes."""
    with session(stage) as admin:
        admin.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        admin.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            admin.execute("ALTER SYSTEM RESET default_transaction_read_only")
            admin.execute("SELECT pg_reload_conf()")


@contextmanager
def late_clock(stage: Stage) -> Iterator[None]:
    """Run the worker on a machine whose clock is ten minutes behind. It stays so, because it does no harm."""
    stage.restart_worker(LD_PRELOAD=str(FAKETIME[0]), FAKETIME="-600s", FAKETIME_DONT_FAKE_MONOTONIC="1")
    pause(AFTER_RESTART)
    yield


@contextmanager
def promoted_standby(stage: Stage) -> Iterator[None]:
    """Let the host of the primary vanish, and promote its standby at the end. The gateway stays with the standby."""
    second = stage.resources.enter_context(standby(stage.direct_url, stage.data, stage.data.with_name("standby")))
    port = stage.resources.enter_context(reachable(second))
    with linked(stage.direct_url) as link:
        stage.move_to(f"postgresql://postgres@/{DATABASE}?host={FAR},127.0.0.1&port={PORT},{port}")
        pause(AFTER_RESTART)
        cut(link)
        yield
        with psycopg.connect(second, autocommit=True) as connection:
            connection.execute("SELECT pg_promote()")
        stage.direct_url = second
