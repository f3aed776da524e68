"""The deployment under the faults. It restarts its processes as a supervisor does, and measures how merges go on."""

import statistics
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psycopg
import requests

from gateway.db.migrate import migrate
from gateway.db.session import Database
from gateway.sandbox import Sandbox
from tests.support.deployment import Deployment, deployed
from tests.support.postgres import Crashing, crashing_postgres
from tests.support.processes import Process, await_port, running
from tests.support.wait import eventually, poll

ORGANIZATIONS = 24
RESTART_AFTER = 0.5  # seconds between the end of a process and its restart
# Stripe goes on for three days. Here it goes on for as long as the longest fault.
RETRIES = (0.05, 0.2, 0.5, 1.0, *[2.0] * 60)
RESUMED = (
    "SELECT extract(epoch FROM min(processed_at))::float8 FROM webhook_events WHERE processed_at > to_timestamp(%s)"
)
BEHIND = """
    SELECT count(*) FROM webhook_events
    WHERE state IN ('pending', 'failed') AND received_at <= to_timestamp(%s)
"""
WAITS = """
    SELECT extract(epoch FROM processed_at - received_at)::float8 FROM webhook_events
    WHERE processed_at IS NOT NULL AND received_at BETWEEN to_timestamp(%s) AND to_timestamp(%s)
"""
STUCK = """
    SELECT (SELECT count(*) FROM procrastinate_jobs WHERE status = 'failed')
         + (SELECT count(*) FROM plan_changes WHERE state IN ('requested', 'processing')
            AND created_at < now() - interval '30 seconds')
         + (SELECT count(*) FROM webhook_events WHERE waits_for IS NOT NULL OR state = 'dead')
         + (SELECT count(*) FROM pg_locks WHERE NOT granted)
"""
DOUBLED = """
    SELECT count(*) FROM (
        SELECT change_id FROM plan_history WHERE change_id IS NOT NULL GROUP BY change_id HAVING count(*) > 1
    ) AS doubled
"""
MIRRORED = """
    SELECT organizations.id, stripe_customer_id, name, quantity FROM organizations
    JOIN organization_plans ON organization_id = organizations.id
"""


@dataclass
class Stage:
    """A deployment, its server, and its supervised processes."""

    gateway: Deployment
    server: Crashing
    data: Path
    direct_url: str
    """Where the measurements read. A fault may cut the gateway off from its database, but not them."""
    resources: ExitStack
    """Closes what must outlive a fault."""
    worker_environment: dict[str, str] = field(default_factory=dict)
    """What the worker's environment has beside the gateway's settings."""
    customers: dict[str, str] = field(default_factory=dict)
    """The customer of each organization."""
    web: Process | None = None
    worker: Process | None = None
    _ending: threading.Event = field(default_factory=threading.Event)
    _supervisors: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._supervisors = [threading.Thread(target=each) for each in (self._supervise_web, self._supervise_worker)]
        for each in self._supervisors:
            each.start()
        await_port(self.gateway.port)
        for number in range(ORGANIZATIONS):
            name = f"org_{number}"
            self.customers[name] = self.gateway.enrol(name)["customer"]
            self.gateway.ok(name, "PATCH", "/subscription", plan="plus")
        eventually(self.gateway.all_done, 60)
        return self

    def __exit__(self, *_error: object) -> None:
        self._ending.set()
        for each in self._supervisors:
            each.join()

    def _supervise_web(self) -> None:
        addresses = [f"--bind=127.0.0.1:{self.gateway.port}", f"--metrics-bind=127.0.0.1:{self.gateway.metrics_port}"]
        while not self._ending.is_set():
            with self._running("serve", *addresses) as self.web:
                self._await_end(self.web)

    def _supervise_worker(self) -> None:
        while not self._ending.is_set():
            with self._running("worker", **self.worker_environment) as self.worker:
                self._await_end(self.worker)

    def another_worker(self) -> AbstractContextManager[Process]:
        """Run a second worker for the length of the block."""
        return self._running("worker")

    def _running(self, command: str, *options: str, **environment: str) -> AbstractContextManager[Process]:
        log = self.gateway.logs / f"{command}.log"
        return running(["-m", "gateway", command, *options], {**self.gateway.environment, **environment}, log)

    def _await_end(self, process: Process) -> None:
        while process.alive and not self._ending.wait(0.2):
            pass
        self._ending.wait(RESTART_AFTER)

    def restart_worker(self, **environment: str) -> None:
        """Kill the worker. Its supervisor starts it again, with these variables beside the gateway's settings."""
        self.worker_environment = environment
        if self.worker is not None:
            with suppress(ProcessLookupError):
                self.worker.kill()

    def move_to(self, database_url: str) -> None:
        """Restart web and worker with another address of their database."""
        self.gateway.environment["GATEWAY_DATABASE_URL"] = database_url
        self.restart_worker()
        if self.web is not None:
            with suppress(ProcessLookupError):
                self.web.ask_to_stop()

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Execute a statement on the database itself and return its rows."""
        with psycopg.connect(self.direct_url, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def number(self, query: str, *parameters: object) -> float:
        """Return the only number of a query. Return -1 while the database does not answer."""
        try:
            [(number,)] = self.rows(query, *parameters)
        except psycopg.Error:
            return -1
        return -1 if number is None else float(number)

    def await_resumption(self, end: float) -> float:
        """Wait for the first merge after a moment, and return the seconds until then."""
        return poll(lambda: self.number(RESUMED, end), lambda at: at >= 0, 120, 0.05) - end

    def await_catching_up(self, end: float) -> None:
        """Wait until everything that was received before a moment is processed."""
        poll(lambda: self.number(BEHIND, end), lambda behind: behind == 0, 120, 0.1)

    def waits(self, start: float, end: float) -> list[float]:
        """Return how long each event of a time waited for its merge, in seconds."""
        return [wait for (wait,) in self.rows(WAITS, start, end)]

    def metrics(self) -> str:
        """Return the metrics, or why there are none."""
        try:
            return self.gateway.metrics()
        except requests.RequestException as error:
            return type(error).__name__

    def doctor(self) -> str:
        """Return what doctor finds wrong."""
        lines = self.gateway.command("doctor").stdout.splitlines()
        return "\n".join(line for line in lines if "✗" in line)

    def assert_sound(self) -> None:
        """Check that nothing was lost or doubled, that nothing is stuck, and that the tables equal the sandbox."""
        stripe = self.gateway.stripe.v1
        events = [each.id for each in stripe.events.list({"limit": 100}).auto_paging_iter()]
        eventually(lambda: self.number("SELECT count(*) FROM webhook_events WHERE state = 'pending'") == 0, 60)
        stored = {each for (each,) in self.rows("SELECT id FROM webhook_events WHERE state IN ('done', 'ignored')")}
        assert set(events) <= stored, f"{len(set(events) - stored)} events are missing"
        assert self.number(DOUBLED) == 0
        eventually(lambda: self.number(STUCK) == 0, 60)
        for name, customer, stored_name, quantity in self.rows(MIRRORED):
            [subscription] = stripe.subscriptions.list({"customer": customer}).data
            [item] = subscription.to_dict()["items"]["data"]
            at_stripe = (stripe.customers.retrieve(customer).name, item["quantity"])
            assert (stored_name, quantity) == at_stripe, f"{name} differs from Stripe"


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile."""
    return statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else 0.0


@contextmanager
def staged(directory: Path) -> Iterator[Stage]:
    """Set everything up in a directory."""
    with ExitStack() as resources:
        server = resources.enter_context(crashing_postgres(directory / "pg"))
        database = Database(server.url)
        migrate(database)
        database.close()
        sandbox = resources.enter_context(Sandbox(retry_delays=RETRIES))
        gateway = resources.enter_context(deployed(server.url, directory, sandbox_url=sandbox.url))
        stage = Stage(gateway, server, directory / "pg", server.url, resources)
        yield resources.enter_context(stage)
