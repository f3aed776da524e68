"""The faults, what happens under each, and what an operator does."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import requests
from psycopg.sql import SQL, Identifier

from tests.chaos.hosts import FAR, PORT, can_cut_links, cut, linked, reachable, standby
from tests.chaos.stage import Stage
from tests.support.pgbouncer import IGNORES_SETTINGS, PGBOUNCER, pgbouncer

END_ALL = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = %s AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
END_LISTENER = END_ALL + " AND state = 'idle' AND (query LIKE 'LISTEN%%' OR query = 'SELECT 1')"
DATABASE = "gateway"
PROBERS, PROBE_EVERY = 4, 0.1  # clients, and seconds between two requests of each
AFTER_RESTART = 15  # seconds until the load goes on as before after the worker was killed
FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
pause = threading.Event().wait


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault. ``strike`` keeps it up for the length of its block."""

    name: str
    strike: Callable[[Stage], AbstractContextManager[None]]
    happens: str
    advice: str
    in_doctor: str | None = None
    """A part of what doctor says while it lasts. None if it is over too soon."""
    in_metrics: str | None = None
    """A line of the metrics while it lasts."""
    seconds: float = 6
    """How long it lasts, at least."""
    limit: float = 5
    """Within how many seconds of its end the merges must resume."""
    from_start: bool = False
    """Whether these seconds count from its start instead."""
    needs: Callable[[], bool] = lambda: True


@contextmanager
def session(stage: Stage, database: str = DATABASE) -> Iterator[psycopg.Connection]:
    """Open a session of an operator, which the gateway's settings do not concern."""
    url = stage.direct_url.replace("/gateway?", f"/{database}?")
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@contextmanager
def exhausted_connections(stage: Stage) -> Iterator[None]:
    """Refuse new connections, and end the one that listens."""
    allow = SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    with session(stage, "postgres") as admin:
        admin.execute(allow.format(Identifier(DATABASE), SQL("false")))
        try:
            admin.execute(END_LISTENER, [DATABASE])
            yield
        finally:
            admin.execute(allow.format(Identifier(DATABASE), SQL("true")))


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


FAULTS = (
    Fault(
        name="PostgreSQL is down for some seconds",
        strike=restarted,
        happens="Requests are 503. The worker waits.",
        advice="Start it. See [the runbook](runbook.md#gatewaydatabasedown).",
        in_doctor="database:",
        in_metrics="gateway_database_up 0.0",
    ),
    Fault(
        name="all sessions are ended every 2 seconds",
        strike=killed_sessions,
        happens="Some requests are 503. The sessions are replaced.",
        advice="Find out who ends them.",
        in_doctor="connections: connection of worker",
        in_metrics="gateway_worker_connections_lost 1.0",
        seconds=20,
    ),
    Fault(
        name="no new connections, and LISTEN is cut",
        strike=exhausted_connections,
        happens="Web and worker go on with their connections.",
        advice="Free connections, or raise `max_connections`.",
        in_doctor="database:",
        in_metrics="gateway_database_up 0.0",
    ),
    Fault(
        name="one organization is locked",
        strike=locked("SELECT FROM organizations WHERE id = 'org_0' FOR UPDATE"),
        happens="Only its events wait. Its changes are 503.",
        advice="End the session that `gateway doctor` names.",
        in_doctor="locks: org_0 is locked by session",
        in_metrics="gateway_organizations_locked 1.0",
        seconds=30,
    ),
    Fault(
        name="the inbox is locked",
        strike=locked_inbox,
        happens="Deliveries are 503, and Stripe repeats them. Health is answered.",
        advice="End the session that `gateway doctor` names.",
        in_doctor="webhook_events is locked by session",
        in_metrics="gateway_database_up 0.0",
        seconds=20,
    ),
    Fault(
        name="the job queue is locked",
        strike=locked("LOCK TABLE procrastinate_jobs"),
        happens="Events are stored. Changes are 503. The worker waits.",
        advice="End the session that `gateway doctor` names.",
        in_doctor="procrastinate_jobs is locked by session",
        in_metrics="gateway_database_up 0.0",
        seconds=20,
    ),
    Fault(
        name="the database is read-only",
        strike=read_only,
        happens="Requests are 503, and readiness too. The worker waits.",
        advice="Make it writable, or promote the standby.",
        in_doctor="read-only",
        in_metrics="gateway_database_up 0.0",
        seconds=10,
    ),
    Fault(
        name="a worker's clock is 10 minutes behind",
        strike=late_clock,
        happens="Events are merged in time.",
        advice="Run NTP on the machine that `gateway doctor` names.",
        in_doctor="600 seconds behind the database's",
        in_metrics="gateway_worker_clocks_wrong 1.0",
        seconds=20,
        needs=lambda: bool(FAKETIME),
    ),
    Fault(
        name="SIGHUP replaces the web processes twice",
        strike=replaced_processes,
        happens="No request is lost.",
        advice="Nothing.",
    ),
    Fault(
        name="PgBouncer in transaction mode",
        strike=behind_pooler,
        happens="Web and worker refuse to start.",
        advice="Set its `pool_mode` to `session`, or connect to PostgreSQL directly.",
        in_doctor="leads to a connection pooler",
        in_metrics="ConnectionError",
        needs=lambda: PGBOUNCER is not None,
    ),
    Fault(
        name="the primary's host vanishes, and its standby is promoted after 20 seconds",
        strike=promoted_standby,
        happens="Requests are 503. Web and worker follow the promoted server.",
        advice="Promote the standby. Name both hosts in `GATEWAY_DATABASE_URL`.",
        in_doctor="database:",
        in_metrics="gateway_database_up 0.0",
        seconds=20,
        limit=60,
        from_start=True,
        needs=can_cut_links,
    ),
)
