"""A sandbox and a gateway on a real database. Only the test moves anything between them.

The test delivers events, drains the inbox and runs jobs. Both clocks stand still until the test moves them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import stripe
from sqlalchemy import text
from stripe import StripeClient, WebhookSignature

from gateway.app import build_gateway
from gateway.catalog import Catalog, Charge
from gateway.config import Config
from gateway.sandbox import Sandbox
from gateway.services.operations.catalog_sync import sync_catalog
from gateway.services.runtime import Caller, Gateway
from gateway.services.webhooks import drain
from gateway.services.webhooks.inbox import Inbox
from gateway.tasks import build_worker
from handlers import HANDLERS
from tests.stateful.convergence.line import Line
from tests.support.catalogs import PLAIN_CATALOG
from tests.support.clock import ManualClock
from tests.support.database import empty, reopen_database
from tests.support.json_types import Json
from tests.support.stripe_account import StripeAccount

SECRET = "whsec_stateful"


def sell_plus(charge: Charge) -> Catalog:
    """Return the plain catalogue with a Plus that is charged at ``charge``, without bounds on what is owed for it."""
    plans = PLAIN_CATALOG.plans
    return Catalog(tuple(replace(plan, charge=charge, exposure={}) if plan.key == "plus" else plan for plan in plans))


@dataclass(frozen=True)
class Job:
    """A job in the queue."""

    id: int
    task: str
    args: Json
    lock: str | None
    at: datetime | None


@dataclass
class SteppedGateway:
    """Stripe and the gateway.

    The gateway's clock is ``skew`` seconds ahead of Stripe's.
    """

    database_url: str
    skew: int = 0
    catalog: Catalog = field(default_factory=lambda: sell_plus("on_billing_date"))
    """What this deployment sells."""
    clock: ManualClock = field(default_factory=ManualClock)
    sandbox: Sandbox = field(init=False)
    account: StripeAccount = field(init=False)
    """The SDK, which acts like the dashboard and bypasses the gateway."""
    line: Line = field(init=False)
    gateway: Gateway = field(init=False)
    events: list[Json] = field(default_factory=list)
    """All events so far, oldest first."""
    delivered: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.sandbox = Sandbox(clock=self.clock, seed="convergence").start()
        self.account = StripeAccount(self.sandbox)
        self.line = Line(self.clock)
        config = Config(
            database_url=self.database_url,
            stripe_secret_key="sk_test_gateway",
            stripe_publishable_key="pk_test_gateway",
            stripe_webhook_secrets=(SECRET,),
            stripe_api_base=self.sandbox.url,
            stripe_calls_per_second=1000,
            rate_limit_factor=1000,
            jwt_development_secret="a secret that only these tests know",
        )
        addresses: Any = dict.fromkeys(("api", "connect", "files", "meter_events"), self.sandbox.url)
        client = StripeClient(
            config.stripe_secret_key, base_addresses=addresses, max_network_retries=0, http_client=self.line
        )
        built = build_gateway(config, open_database=reopen_database)
        self.gateway = replace(built, stripe=client, clock=self.now, catalog=self.catalog)
        empty(self.gateway)
        self.inbox = Inbox(self.gateway, HANDLERS)
        self.tasks = build_worker(self.gateway).tasks
        list(sync_catalog(self.gateway))

    def close(self) -> None:
        self.inbox.close()
        self.gateway.database.close()
        self.sandbox.close()

    def now(self) -> datetime:
        """Return the gateway's time."""
        return datetime.fromtimestamp(self.clock() + self.skew, UTC)

    def caller(self, organization: str) -> Caller:
        return Caller(
            organization_id=organization, actor="test", name=organization, email=f"{organization}@example.test"
        )

    def hear(self) -> list[Json]:
        """Return Stripe's events since the last call, oldest first."""
        new = list(self.read("/v1/events", ending_before=self.events[-1]["id"])) if self.events else self.first()
        self.events += new
        return new

    def first(self) -> list[Json]:
        return list(self.read("/v1/events"))[::-1]

    def deliver(self, event: Json) -> None:
        """Deliver an event with a signature, as Stripe does."""
        body = orjson.dumps(event).decode()
        signature = WebhookSignature.generate_signature_header(body, SECRET, int(self.now().timestamp()))
        self.inbox.commit(self.inbox.add(body.encode(), signature))
        self.delivered.add(event["id"])

    def drain(self) -> None:
        """Drain all due events."""
        drain.drain_inbox(self.gateway, HANDLERS)

    def jobs(self) -> list[Job]:
        """Return the waiting jobs."""
        query = text(
            "SELECT id, task_name, args, lock, scheduled_at FROM procrastinate_jobs WHERE status = 'todo' ORDER BY id"
        )
        with self.gateway.database.transaction() as session:
            return [Job(*row) for row in session.execute(query)]

    def due(self) -> list[Job]:
        """Return the waiting jobs that are due."""
        return [job for job in self.jobs() if job.at is None or job.at <= self.now()]

    def start_job(self, job: Job) -> None:
        """Mark the job as running. Another job may now wait under its queueing lock."""
        self._set(job, "UPDATE procrastinate_jobs SET status = 'doing' WHERE id = :id")

    def end_job(self, job: Job) -> None:
        self._set(job, "DELETE FROM procrastinate_jobs WHERE id = :id")

    def put_back(self, job: Job) -> None:
        """Mark the job as waiting, so that it runs again later."""
        self._set(job, "UPDATE procrastinate_jobs SET status = 'todo' WHERE id = :id")

    def _set(self, job: Job, statement: str) -> None:
        with self.gateway.database.transaction() as session:
            session.execute(text(statement), {"id": job.id})

    def work(self, job: Job) -> None:
        """Run a job as the worker does."""
        self.start_job(job)
        self.tasks[job.task](**job.args)
        self.end_job(job)

    def run_due_jobs(self) -> None:
        """Run the jobs that are due, and those that they enqueue."""
        while due := self.due():
            for job in due:
                self.work(job)

    def wait_for_a_job(self) -> None:
        """Let time pass until a job is due."""
        if not self.due() and (later := [job.at for job in self.jobs() if job.at is not None]):
            self.wait((min(later) - self.now()).total_seconds())

    def wait(self, seconds: float) -> None:
        """Let time pass, with everything that falls due at Stripe."""
        self.clock.now += timedelta(seconds=seconds).total_seconds()

    def read(self, path: str, **params: Any) -> Iterator[Json]:
        """Yield a whole list, newest first. With ``ending_before``, yield the newer objects, oldest first."""
        params = {"limit": 100} | params
        onward = "ending_before" in params
        while True:
            page: Any = self.account.client.raw_request("get", path, **params).data
            rows = page["data"][::-1] if onward else page["data"]
            yield from rows
            if not page["has_more"]:
                return
            params |= {"ending_before" if onward else "starting_after": rows[-1]["id"]}

    def retrieve(self, path: str) -> Json:
        """Return one object in its current state."""
        found: Any = self.account.client.raw_request("get", path).data
        return dict(found)

    def allowed(self, call: Callable[[], object]) -> bool:
        """Make the call, and return whether Stripe accepted it. The rules need not predict a refusal."""
        try:
            call()
        except (stripe.InvalidRequestError, stripe.CardError):
            return False
        return True


def pass_on(stage: SteppedGateway) -> None:
    for event in stage.hear():
        stage.deliver(event)
    stage.drain()
