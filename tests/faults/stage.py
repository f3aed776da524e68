"""Web and worker as real processes on a database of their own, and a sandbox for Stripe."""

import hashlib
import hmac
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import requests
from psycopg.rows import TupleRow
from stripe import StripeClient

from gateway.app import build_gateway
from gateway.auth import issue_development_token
from gateway.config import Config
from gateway.failpoints import VARIABLE, Failpoint
from gateway.sandbox import Sandbox
from gateway.services.mirror.merge import defer_refresh
from gateway.services.operations.catalog_sync import sync_catalog
from gateway.services.runtime import Gateway
from gateway.stripe_api.client import API_VERSION, stripe_client
from tests.benchmarks.rig import SECRET, now
from tests.integration.support import Json, eventually
from tests.processes import Process, await_port, free_port, running, settings

WAITING = """
    SELECT (SELECT count(*) FROM webhook_events WHERE state IN ('pending', 'failed'))
         + (SELECT count(*) FROM procrastinate_jobs
            WHERE status = 'doing' OR status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now()))
"""


@dataclass
class Stage:
    """The parts, and what tests do with them."""

    gateway: Gateway
    """The test's own: for its settings and its clock, and to look with."""
    stripe: StripeClient
    sandbox_url: str
    port: int
    metrics_port: int
    environment: dict[str, str]
    logs: Path
    processes: ExitStack = field(default_factory=ExitStack)

    def serve(self, dying_at: Failpoint | None = None) -> Process:
        """``gateway serve``, listening; its processes die whenever they get to ``dying_at``."""
        size = [] if dying_at is None else ["--workers=1"]  # gunicorn starts another one each time
        addresses = [f"--bind=127.0.0.1:{self.port}", f"--metrics-bind=127.0.0.1:{self.metrics_port}"]
        web = self._run("web", ["serve", *addresses, *size], dying_at)
        await_port(self.port)
        return web

    def work(self, dying_at: Failpoint | None = None) -> Process:
        """``gateway worker``, ready for jobs; it dies when it gets to ``dying_at``."""
        workers = self.number("SELECT coalesce(max(id), 0) FROM procrastinate_workers")
        worker = self._run("worker", ["worker"], dying_at)
        eventually(lambda: self.number("SELECT coalesce(max(id), 0) FROM procrastinate_workers") > workers)
        return worker

    def _run(self, name: str, arguments: list[str], dying_at: Failpoint | None) -> Process:
        log = self.logs / f"{name}.log"
        environment = self.environment | ({VARIABLE: dying_at.value} if dying_at is not None else {})
        return self.processes.enter_context(running(["-m", "gateway", *arguments], environment, log))

    def said(self) -> str:
        """All that web and worker have logged."""
        return "".join(log.read_text(errors="replace") for log in self.logs.glob("*.log"))

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``gateway ARGUMENTS``, to its end."""
        command = [sys.executable, "-m", "gateway", *arguments]
        environment = settings(self.environment)
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    def rows(self, query: str, *parameters: object) -> list[TupleRow]:
        """What the database says."""
        with psycopg.connect(self.environment["GATEWAY_DATABASE_URL"], autocommit=True) as connection:
            cursor = connection.execute(query.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def number(self, query: str, *parameters: object) -> int:
        """The one number that it says."""
        [(number,)] = self.rows(query, *parameters)
        return int(number)

    def states(self, *event_ids: str) -> list[str]:
        """The states of stored events, by id."""
        return [
            state
            for (state,) in self.rows(
                "SELECT state FROM webhook_events WHERE id = ANY(%s) ORDER BY id", list(event_ids)
            )
        ]

    def deliver(self, body: bytes, signature: str | None = None, secret: str = SECRET) -> requests.Response:
        """Deliver an event once, as Stripe does; signed unless a signature is given."""
        signature = signature or sign(body, secret)
        headers = {"Stripe-Signature": signature, "Content-Type": "application/json; charset=utf-8"}
        return requests.post(f"http://127.0.0.1:{self.port}/webhooks/stripe", data=body, headers=headers, timeout=30)

    def api(
        self, organization_id: str, method: str, path: str, *, timeout: float = 60, key: str | None = None, **body: Any
    ) -> requests.Response:
        """The JSON interface, as the organization's UI calls it; ``key`` is its ``Idempotency-Key``."""
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
        """Call, expect success, give the JSON."""
        response = self.api(organization_id, method, path, **body)
        assert response.status_code < 300, response.text
        answer: Json = response.json()
        return answer

    def call_and_leave(self, organization_id: str, method: str, path: str, **body: Any) -> None:
        """Call, and do not wait for the answer."""
        with suppress(requests.ReadTimeout):
            self.api(organization_id, method, path, timeout=0.5, **body)

    def refresh(self, kind: str, stripe_id: str) -> None:
        """Have an object asked for at Stripe."""
        with self.gateway.database.transaction() as session:
            defer_refresh(session, kind, stripe_id)

    def enrol(self, organization_id: str) -> Json:
        """An organization on Free with a card; gives its customer and subscription id."""
        self.ok(organization_id, "POST", "/subscription", plan="free")
        self.add_card(organization_id)
        [(customer, subscription)] = self.rows(
            "SELECT stripe_customer_id, subscription_id FROM organizations JOIN organization_plans"
            " ON organization_id = id WHERE id = %s",
            organization_id,
        )
        return {"customer": customer, "subscription": subscription}

    def add_card(self, organization_id: str) -> None:
        """Take a good card as the browser does with Stripe.js, and make it the default."""
        intent_id = self.ok(organization_id, "POST", "/billing-details/setup-intent")["client_secret"].split(
            "_secret_"
        )[0]
        confirmed = self.stripe.v1.setup_intents.confirm(intent_id, {"payment_method": "pm_card_visa"})
        self.ok(organization_id, "PUT", "/payment-methods/default", payment_method=confirmed.payment_method)

    def metrics(self) -> str:
        """Return what Prometheus would read."""
        return requests.get(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10).text

    def all_done(self) -> bool:
        """Whether no event and no job that is due waits."""
        return self.number(WAITING) == 0

    def plan(self, organization_id: str) -> tuple[str, int]:
        """Plan and quantity, as the plan table says."""
        [row] = self.rows("SELECT plan, quantity FROM organization_plans WHERE organization_id = %s", organization_id)
        return row[0], row[1]

    def fault(self, kind: str, **fields: Any) -> None:
        """Ask the sandbox for a fault."""
        requests.post(
            f"{self.sandbox_url}/_sandbox/faults", json={"kind": kind, **fields}, timeout=10
        ).raise_for_status()

    def faults(self) -> list[Json]:
        """The faults that were asked for, and how often each has fired."""
        asked: list[Json] = requests.get(f"{self.sandbox_url}/_sandbox/faults", timeout=10).json()["faults"]
        return asked

    def end_faults(self) -> None:
        """No faults any more; what they hold up goes on."""
        requests.delete(f"{self.sandbox_url}/_sandbox/faults", timeout=10).raise_for_status()


def sign(body: bytes, secret: str = SECRET, age: int = 0) -> str:
    """The header that Stripe would send with ``body``, so many seconds ago; the SDK signs nothing but text."""
    moment = now() - age
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


@contextmanager
def stage(database_url: str, directory: Path, catalog: Path | None = None) -> Iterator[Stage]:
    """A stage on a migrated database, its catalogue synced and a webhook endpoint at the sandbox; no process yet."""
    port = free_port()
    with Sandbox(retry_delays=(0.05, 0.2, 0.5, 1, 2)) as sandbox, ExitStack() as resources:
        environment = {
            "GATEWAY_DATABASE_URL": database_url,
            "GATEWAY_JWT_DEVELOPMENT_SECRET": "a secret that only these tests know",
            "GATEWAY_STRIPE_CALLS_PER_SECOND": "1000",
            "TMPDIR": str(directory),  # what a killed process cannot remove is removed with it
            "STRIPE_SECRET_KEY": "sk_test_faults",
            "STRIPE_PUBLISHABLE_KEY": "pk_test_faults",
            "STRIPE_API_BASE": sandbox.url,
        }
        if catalog is not None:
            environment["GATEWAY_CATALOG"] = str(catalog)
        config = Config(
            database_url=database_url,
            catalog=catalog,
            stripe_secret_key=environment["STRIPE_SECRET_KEY"],
            stripe_api_base=sandbox.url,
            jwt_development_secret=environment["GATEWAY_JWT_DEVELOPMENT_SECRET"],
            stripe_webhook_secrets=(SECRET,),
        )
        gateway = build_gateway(config)
        resources.callback(gateway.database.close)
        list(sync_catalog(gateway))
        stripe = stripe_client("sk_test_faults", sandbox.url)
        endpoint = stripe.v1.webhook_endpoints.create(
            {
                "url": f"http://127.0.0.1:{port}/webhooks/stripe",
                "enabled_events": ["*"],
                "api_version": API_VERSION,
            }
        )
        environment["STRIPE_WEBHOOK_SECRETS"] = f"{endpoint.secret},{SECRET}"
        set_up = Stage(gateway, stripe, sandbox.url, port, free_port(), environment, directory)
        with set_up.processes:
            yield set_up
