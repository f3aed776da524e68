"""The gateway's processes, played in one thread: a web process that is called, and a worker that works in turns."""

import math
import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import jwt
import orjson
from procrastinate.retry import RetryStrategy
from sqlalchemy import event
from stripe import WebhookSignature

from gateway.app import build_gateway, create_app
from gateway.auth import DEVELOPMENT_ALGORITHM, SCOPES
from gateway.catalog import Catalog
from gateway.config import Config
from gateway.db import jobs
from gateway.endpoints.request_context import EXTENSION, WebApp
from gateway.errors import GatewayError
from gateway.failpoints import VARIABLE, Failpoint
from gateway.sandbox.clock import LATEST
from gateway.services.rate_limits.stripe_budget import Budget
from gateway.services.webhooks.endpoint_check import WEBHOOK_PATH
from gateway.services.webhooks.inbox import Inbox
from gateway.services.webhooks.wakeup import Wakeup
from gateway.stripe_api.breaker import Breaker
from gateway.stripe_api.client import stripe_client
from gateway.stripe_api.gate import Gate, Share
from gateway.tasks import build_worker
from handlers import HANDLERS
from tests.simulation.one_clock import Died, OneClock
from tests.simulation.own_connections import SimulatedClock, keep_plans, set_clock
from tests.simulation.wire import STRIPE, Answer, StripeWire, call_wsgi
from tests.support.database import reopen_database
from tests.support.json_types import Json

T = TypeVar("T")
WEBHOOK_SECRET = "whsec_simulation"
TOKEN_SECRET = "a secret that only the simulation knows"
RECEIVERS = Path(__file__).with_name("receivers.toml")
NEW, DEADLY = 0.8, 0.1
"""How often a process may die at each failpoint where none has died, and how often else at one that is drawn."""
TAKEN_UP_AFTER = timedelta(seconds=45)
"""How long the job of a worker that died waits for another worker."""
DUE = """
    SELECT id, task_name, args, attempts FROM procrastinate_jobs
    WHERE status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= %(now)s) ORDER BY id
"""
WAITING = """
    SELECT (SELECT min(next_attempt_at) FROM webhook_events WHERE state IN ('pending', 'failed') AND waits_for IS NULL),
        (SELECT min(greatest(next_attempt_at, paused_until)) FROM (
            SELECT DISTINCT ON (organization_id) receiver, next_attempt_at FROM notifications
            WHERE next_attempt_at IS NOT NULL AND delivered_at IS NULL ORDER BY organization_id, position
        ) AS first LEFT JOIN receiver_states ON name = receiver),
        (SELECT min(next_attempt_at) FROM usage_reports WHERE state IN ('open', 'sending')),
        (SELECT min(COALESCE(scheduled_at, %(now)s)) FROM procrastinate_jobs WHERE status = 'todo')
"""
"""When the first event, the first notification, the first usage and the first job are due.

A notification waits for the earlier ones of its organization, and while its receiver is paused."""
START = "UPDATE procrastinate_jobs SET status = 'doing', attempts = attempts + 1 WHERE id = %(id)s"
END = "DELETE FROM procrastinate_jobs WHERE id = %(id)s"
LATER = "UPDATE procrastinate_jobs SET status = 'todo', scheduled_at = %(at)s WHERE id = %(id)s"
IS_REPLACED = """
    SELECT EXISTS (SELECT FROM procrastinate_jobs AS other, procrastinate_jobs AS mine
        WHERE mine.id = %(id)s AND other.queueing_lock = mine.queueing_lock AND other.status = 'todo')
"""
NOTIFY = f"{jobs.DELIVER_NOTIFICATIONS}.konnect"
OFTEN = (jobs.FOLLOW_LEVELS, jobs.CHECK_SPEND, jobs.END_GRANTS)
"""The periodic tasks that run each minute when somebody may have given them work."""
SELDOM = (jobs.WALK_GAP, jobs.WALK_DRIFT, jobs.COMPLETE_ADOPTIONS, jobs.CALCULATE_CHARGES, jobs.PRUNE_INBOX)
"""The periodic tasks that repair what was lost, or look ahead."""


class CalledWakeup(Wakeup):
    """Starts no thread. The worker's next turn drains the inbox anyway."""

    def request_drain(self) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass
class GatewaySide:
    """The gateway on its database. ``deaths`` is the probability that a process dies before it commits."""

    database_url: str
    catalog: Catalog
    clock: OneClock
    random: Random
    wire: StripeWire
    deaths: float = 0
    died: Counter[str] = field(default_factory=Counter)
    """The deaths of processes, by the place where they died."""
    failed: list[str] = field(default_factory=list)
    """The jobs that failed for good."""

    def __post_init__(self) -> None:
        config = Config(
            database_url=self.database_url,
            stripe_secret_key="sk_test_gateway",
            stripe_publishable_key="pk_test_gateway",
            stripe_webhook_secrets=(WEBHOOK_SECRET,),
            stripe_api_base=STRIPE,
            stripe_calls_per_second=1000,
            rate_limit_factor=1000,
            receivers=RECEIVERS,
            jwt_development_secret=TOKEN_SECRET,
        )
        built = build_gateway(config, open_database=reopen_database)
        budget = Budget(built.database, config.stripe_calls_per_second)
        breaker = Breaker(self.clock, on_open=budget.note_breaker_open)
        gate = Gate(breaker, Share.of_web(config.web_threads), self.clock)
        client = stripe_client(config.stripe_secret_key, config.stripe_api_base, budget, gate)
        http: Any = client._requestor._get_http_client()  # noqa: SLF001 - the SDK shows its HTTP client nowhere else
        http._thread_local.session = self.wire  # noqa: SLF001 - where that client looks for its session
        self.gateway = replace(built, stripe=client, gate=gate, catalog=self.catalog, clock=self.clock.now)
        self.engine = self.gateway.database.engine
        event.listen(self.engine, "connect", keep_plans)
        self.real_clock = set_clock(self.gateway.database, SimulatedClock(self.clock))
        event.listen(self.engine, "commit", self._die_perhaps)
        self.app = create_app(self.gateway)
        self.web: WebApp = self.app.extensions[EXTENSION]
        self.web.wakeup = CalledWakeup(self.gateway.database)
        self.tasks = build_worker(self.gateway).tasks

    def close(self) -> None:
        """Let other tests have the database, with its own clock."""
        event.remove(self.engine, "connect", keep_plans)
        set_clock(self.gateway.database, self.real_clock)
        event.remove(self.engine, "commit", self._die_perhaps)
        self.web.close()
        self.engine.dispose()

    def _die_perhaps(self, _connection: object) -> None:
        if self.random.random() < self.deaths:
            raise Died("commit")

    def mortal(self, work: Callable[[], T]) -> T | None:
        """Let a process do something, and return None if it dies of it.

        Four times in five, it dies at the first failpoint that it reaches and where none of the seed has died. In a
        tenth of the others, it dies at a failpoint that is drawn, if it reaches that one.
        """
        if self.deaths:
            missing = [each for each in Failpoint if f"failpoint {each}" not in self.died]
            if missing and self.random.random() < NEW:
                os.environ[VARIABLE] = ",".join(missing)
            elif self.random.random() < DEADLY:
                os.environ[VARIABLE] = self.random.choice(list(Failpoint))
        try:
            return work()
        except Died as death:
            self.died[str(death)] += 1
            self._restart()
            return None
        finally:
            os.environ.pop(VARIABLE, None)

    def _restart(self) -> None:
        """Forget what only the memory of the dead process knew."""
        self.web.inbox.close()
        self.web.inbox = Inbox(self.gateway, HANDLERS)

    def call(self, organization: str, method: str, path: str, body: Json | None, key: str = "") -> Answer | None:
        """Call the JSON interface. Return None if the process dies before it answers."""
        headers = {"Authorization": f"Bearer {self._token(organization)}"}
        if key:
            headers["Idempotency-Key"] = key
        if body is not None:
            headers["Content-Type"] = "application/json"
        content = b"" if body is None else orjson.dumps(body)
        return self.mortal(lambda: call_wsgi(self.app, method, f"/v1{path}", "", headers, content)[0])

    def _token(self, organization: str) -> str:
        """Return a token that is valid by this machine's clock and by the simulated one."""
        claims = {
            "iss": self.gateway.config.jwt_issuer,
            "aud": self.gateway.config.jwt_audience,
            "sub": "user",
            "organization_id": organization,
            "organization_name": organization,
            "scope": " ".join((*SCOPES, "usage:write")),
            "iat": 0,
            "exp": LATEST,
        }
        return jwt.encode(claims, TOKEN_SECRET, DEVELOPMENT_ALGORITHM)

    def receive(self, delivery: bytes) -> bool:
        """Take a delivery from Stripe, and return whether it was acknowledged."""
        signature = WebhookSignature.generate_signature_header(delivery.decode(), WEBHOOK_SECRET, int(self.clock()))
        headers = {"Stripe-Signature": signature, "Content-Type": "application/json"}
        answer = self.mortal(lambda: call_wsgi(self.app, "POST", WEBHOOK_PATH, "", headers, delivery)[0])
        return answer is not None and answer.status_code == HTTPStatus.OK

    def work(self, *periodic: str) -> float | None:
        """Run periodic tasks, and all that is due, as a worker does. Return when something is due next, or None."""
        for task in periodic:
            self._run_periodic(task)
        before = None
        while (waiting := self._find_waiting()) != before:
            before = waiting
            events, notifications, used, queued = (at is not None and at <= self.clock.now() for at in waiting)
            if not (events or notifications or used or queued):
                break
            if events:
                self._run_periodic(jobs.DRAIN_INBOX)
            if notifications:
                self._run_periodic(NOTIFY)
            if used:
                self._run_periodic(jobs.SEND_USAGE)
            if queued:
                for job in self.gateway.database.read(DUE, {"now": self.clock.now()}):
                    self._run(*job)
        return min((at.timestamp() for at in waiting if at is not None), default=None)

    def _run_periodic(self, task: str) -> None:
        """Run a periodic task. If it fails, its next run makes good for it."""
        with suppress(GatewayError):
            self.mortal(lambda: self.tasks[task](timestamp=int(self.clock())))

    def _find_waiting(self) -> tuple[datetime | None, ...]:
        """Return when the first event, the first notification, the first usage and the first job are due."""
        [found] = self.gateway.database.read(WAITING, {"now": self.clock.now()})
        return found

    def _run(self, number: int, task: str, arguments: Json, attempts: int) -> None:
        """Run one job, and put it back if it fails and its task is retried."""
        self._note(START, id=number)
        retry_at = self.clock.now() + TAKEN_UP_AFTER
        try:
            if self.mortal(lambda: self.tasks[task](**arguments) or True):
                self._note(END, id=number)
                return
        except GatewayError as error:
            strategy = self.tasks[task].retry_strategy
            if not isinstance(strategy, RetryStrategy) or attempts + 1 >= (strategy.max_attempts or math.inf):
                self.failed.append(f"{task} {arguments}: {error!r}")
                self._note(END, id=number)
                return
            retry_at = self.clock.now() + pause_before_retry(strategy, attempts + 1)
        if self.gateway.database.read(IS_REPLACED, {"id": number}) == [(True,)]:
            self._note(END, id=number)
        else:
            self._note(LATER, id=number, at=retry_at)

    def _note(self, statement: str, **values: Any) -> None:
        with self.gateway.database.driver() as driver:
            driver.execute(statement, values)


def pause_before_retry(strategy: RetryStrategy, attempts: int) -> timedelta:
    """Return the pause that Procrastinate would make. It would count it from this machine's time."""
    seconds = strategy.wait + strategy.linear_wait * attempts + strategy.exponential_wait ** (attempts + 1)
    return timedelta(seconds=seconds)
