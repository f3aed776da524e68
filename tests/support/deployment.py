"""Web and worker run as real processes on their own database. The sandbox stands in for Stripe."""

import hashlib
import hmac
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from select import select
from typing import Any

import psycopg
import requests
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow
from stripe import StripeClient

from gateway.app import build_gateway
from gateway.auth import issue_development_token
from gateway.config import Config
from gateway.failpoints import VARIABLE, Failpoint
from gateway.sandbox import Sandbox
from gateway.services.mirror.refresh_jobs import defer_refresh
from gateway.services.operations.catalog_sync import sync_catalog
from gateway.services.runtime import Gateway
from gateway.stripe_api.client import API_VERSION, stripe_client
from tests.support.api import take_card
from tests.support.bulk_events import SECRET, now
from tests.support.catalogs import write_catalog
from tests.support.faults import SandboxFaults
from tests.support.json_types import Json
from tests.support.leaks import find_leaks
from tests.support.postgres import refused_connections
from tests.support.processes import Process, await_port, free_port, running_gateway, settings
from tests.support.wait import eventually

WAITING = """
    SELECT (SELECT count(*) FROM webhook_events WHERE state IN ('pending', 'failed'))
         + (SELECT count(*) FROM procrastinate_jobs
            WHERE status = 'doing' OR status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now()))
"""

END_SESSIONS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = %s AND query NOT LIKE 'LISTEN%%'
"""


@dataclass
class Deployment(SandboxFaults):
    """The parts of a deployment and the operations that tests need on them."""

    gateway: Gateway
    """The test's own gateway in this process. It provides the settings, the clock and access to the database."""
    stripe: StripeClient
    sandbox_url: str
    port: int
    metrics_port: int
    environment: dict[str, str]
    logs: Path
    processes: ExitStack = field(default_factory=ExitStack)
    idle: list[psycopg.Connection] = field(default_factory=list)
    """Open connections to the database."""

    def serve(self, dying_at: Failpoint | None = None) -> Process:
        """Start ``gateway serve`` and wait until it listens. Its processes die whenever they reach ``dying_at``."""
        size = [] if dying_at is None else ["--workers=1"]  # gunicorn replaces each worker that dies
        addresses = [f"--bind=127.0.0.1:{self.port}", f"--metrics-bind=127.0.0.1:{self.metrics_port}"]
        web = self._run("web", ["serve", *addresses, *size], dying_at)
        await_port(self.port, web)
        return web

    def work(self, dying_at: Failpoint | None = None) -> Process:
        """Start ``gateway worker`` and wait until it takes jobs. It dies when it reaches ``dying_at``."""
        workers = self.number("SELECT coalesce(max(id), 0) FROM procrastinate_workers")
        worker = self._run("worker", ["worker"], dying_at)
        eventually(lambda: self.number("SELECT coalesce(max(id), 0) FROM procrastinate_workers") > workers)
        return worker

    def _run(self, name: str, arguments: list[str], dying_at: Failpoint | None) -> Process:
        log = self.logs / f"{name}.log"
        environment = self.environment | ({VARIABLE: dying_at.value} if dying_at is not None else {})
        return self.processes.enter_context(running_gateway(arguments, environment, log))

    def said(self) -> str:
        """Return everything that web and worker have logged."""
        return "".join(log.read_text(errors="replace") for log in self.logs.glob("*.log"))

    def command(self, *arguments: str, dying_at: Failpoint | None = None) -> subprocess.CompletedProcess[str]:
        """Run ``gateway ARGUMENTS`` and return the completed process. It dies when it reaches ``dying_at``."""
        command = [sys.executable, "-m", "gateway", *arguments]
        environment = settings(self.environment) | ({VARIABLE: dying_at.value} if dying_at is not None else {})
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    def rows(self, query: str, *parameters: object) -> list[TupleRow]:
        """Execute a statement and return its rows."""
        with self._connected() as connection:
            cursor = connection.execute(query.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection]:
        """Yield a connection that no other thread uses, and keep it, because tests poll the database."""
        connection = self.idle.pop() if self.idle else None
        if connection is not None and has_news(connection):
            connection.close()
            connection = None
        connection = connection or psycopg.connect(self.environment["GATEWAY_DATABASE_URL"], autocommit=True)
        try:
            yield connection
        finally:
            if not connection.closed:
                self.idle.append(connection)

    def disconnect(self) -> None:
        """Close the connections that the test has used."""
        while self.idle:
            self.idle.pop().close()

    def number(self, query: str, *parameters: object) -> int:
        """Execute a query and return its only number."""
        [(number,)] = self.rows(query, *parameters)
        return int(number)

    def states(self, *event_ids: str) -> list[str]:
        """Return the states of stored events, ordered by event id."""
        return [
            state
            for (state,) in self.rows(
                "SELECT state FROM webhook_events WHERE id = ANY(%s) ORDER BY id", list(event_ids)
            )
        ]

    def deliver(self, body: bytes, signature: str | None = None, secret: str = SECRET) -> requests.Response:
        """Deliver an event once, as Stripe does. Sign it unless a signature is given."""
        signature = signature or sign(body, secret)
        headers = {"Stripe-Signature": signature, "Content-Type": "application/json; charset=utf-8"}
        return requests.post(f"http://127.0.0.1:{self.port}/webhooks/stripe", data=body, headers=headers, timeout=30)

    def api(
        self, organization_id: str, method: str, path: str, *, timeout: float = 60, key: str | None = None, **body: Any
    ) -> requests.Response:
        """Call the JSON interface as the organization's UI does. ``key`` is the ``Idempotency-Key``."""
        named = {"Idempotency-Key": key} if key is not None else {}
        token = issue_development_token(self.gateway.config, organization_id, self.gateway.clock())
        return requests.request(
            method,
            f"http://127.0.0.1:{self.port}/v1{path}",
            json=body or None,
            headers={"Authorization": f"Bearer {token}", **named},
            timeout=timeout,
        )

    def ok(self, organization_id: str, method: str, path: str, **body: Any) -> Json:
        """Call the JSON interface, check that the call succeeded and return the JSON."""
        response = self.api(organization_id, method, path, **body)
        assert response.status_code < 300, response.text
        answer: Json = response.json()
        return answer

    def call_and_leave(self, organization_id: str, method: str, path: str, **body: Any) -> None:
        """Call the JSON interface, but hang up before the answer arrives."""
        with suppress(requests.ReadTimeout):
            self.api(organization_id, method, path, timeout=0.5, **body)

    @contextmanager
    def without_database(self) -> Iterator[None]:
        """End the sessions of the gateway's database, and refuse new ones for the length of the block.

        The worker keeps the connection that listens, so that it need not start again.
        """
        url = self.environment["GATEWAY_DATABASE_URL"]
        name = str(conninfo_to_dict(url)["dbname"])
        with (
            psycopg.connect(url, dbname="postgres", autocommit=True) as admin,
            refused_connections(admin, name, END_SESSIONS),
        ):
            yield

    def refresh(self, kind: str, stripe_id: str) -> None:
        """Enqueue the job that retrieves an object from Stripe."""
        with self.gateway.database.transaction() as session:
            defer_refresh(session, kind, stripe_id)

    def enrol(self, organization_id: str) -> Json:
        """Put an organization with a card on Free. Return its customer id and subscription id."""
        self.ok(organization_id, "POST", "/subscription", plan="free")
        take_card(partial(self.ok, organization_id), self.stripe)
        [(customer, subscription)] = self.rows(
            "SELECT stripe_customer_id, subscription_id FROM organizations JOIN organization_plans"
            " ON organization_id = id WHERE id = %s",
            organization_id,
        )
        return {"customer": customer, "subscription": subscription}

    def metrics(self) -> str:
        """Return what Prometheus would read."""
        return requests.get(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10).text

    def all_done(self) -> bool:
        """Return whether every stored event and every due job is done."""
        return self.number(WAITING) == 0

    def plan(self, organization_id: str) -> tuple[str, int]:
        """Return the plan and the quantity in the plan table."""
        [row] = self.rows("SELECT plan, quantity FROM organization_plans WHERE organization_id = %s", organization_id)
        return row[0], row[1]


def has_news(connection: psycopg.Connection) -> bool:
    """Return whether the server has sent something to an idle connection. It does so when it ends the session."""
    return bool(select([connection], [], [], 0)[0])


def sign(body: bytes, secret: str = SECRET, age: int = 0) -> str:
    """Return the signature header that Stripe would have sent with ``body`` ``age`` seconds ago.

    The SDK cannot do this because it signs only text.
    """
    moment = now() - age
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


@contextmanager
def deployed(
    database_url: str, directory: Path, catalog: Path | None = None, sandbox_url: str | None = None
) -> Iterator[Deployment]:
    """Set up a deployment on a migrated database, with its catalogue synced and its webhook endpoint registered.

    ``sandbox_url`` names a sandbox that runs already. Otherwise the deployment starts one in this process.
    No other process runs until the test starts one.
    """
    port = free_port()
    catalog = catalog or write_catalog(directory / "generous.toml")
    with ExitStack() as resources:
        if sandbox_url is None:
            sandbox_url = resources.enter_context(Sandbox(retry_delays=(0.05, 0.2, 0.5, 1, 2))).url
        environment = {
            "GATEWAY_DATABASE_URL": database_url,
            "GATEWAY_JWT_DEVELOPMENT_SECRET": "a secret that only these tests know",
            "GATEWAY_STRIPE_CALLS_PER_SECOND": "1000",
            "GATEWAY_RATE_LIMIT_FACTOR": "1000",  # the limits' tests set their own
            "GATEWAY_CATALOG": str(catalog),
            "TMPDIR": str(directory),  # a killed process leaves files, which the test removes with this directory
            "STRIPE_SECRET_KEY": "sk_test_faults",
            "STRIPE_PUBLISHABLE_KEY": "pk_test_faults",
            "STRIPE_API_BASE": sandbox_url,
        }
        config = Config(
            database_url=database_url,
            catalog=catalog,
            stripe_secret_key=environment["STRIPE_SECRET_KEY"],
            stripe_api_base=sandbox_url,
            jwt_development_secret=environment["GATEWAY_JWT_DEVELOPMENT_SECRET"],
            stripe_webhook_secrets=(SECRET,),
        )
        gateway = build_gateway(config)
        resources.callback(gateway.database.close)
        list(sync_catalog(gateway))
        stripe = stripe_client("sk_test_faults", sandbox_url)
        endpoint = stripe.v1.webhook_endpoints.create(
            {
                "url": f"http://127.0.0.1:{port}/webhooks/stripe",
                "enabled_events": ["*"],
                "api_version": API_VERSION,
            }
        )
        environment["STRIPE_WEBHOOK_SECRETS"] = f"{endpoint.secret},{SECRET}"
        set_up = Deployment(gateway, stripe, sandbox_url, port, free_port(), environment, directory)
        resources.callback(set_up.disconnect)
        with set_up.processes:
            yield set_up
        leaks = find_leaks(set_up.said())
        assert leaks == [], leaks
