"""The worker: Procrastinate's application and its tasks, which call services and do nothing else.

A job with a ``queueing_lock`` is never retried in place: while it runs, another one may have been queued under the same
lock, and the two could then neither wait side by side nor run one after the other. Such a task does without retries
(the drain, which runs each minute anyway) or queues its own successor (the refresh), and without the database, where it
can queue none, it waits (``outlasting``).
"""

from collections.abc import Callable, Iterable
from functools import wraps
from threading import Event
from typing import ParamSpec
from zlib import crc32

import structlog
from procrastinate import App, PsycopgConnector, RetryStrategy
from procrastinate.exceptions import UniqueViolation
from procrastinate.jobs import Status

from gateway.db import jobs
from gateway.errors import DatabaseUnavailable, ReconciliationInProgress, StripeUnavailable
from gateway.services.mirror import refresh
from gateway.services.operations import retention
from gateway.services.operations.status import HEARTBEAT_TIMEOUT
from gateway.services.plan_changes import charge_check, execute
from gateway.services.reconciliation import drift, gap
from gateway.services.runtime import Gateway
from gateway.services.sales import delivery
from gateway.services.webhooks import endpoint_check
from gateway.services.webhooks.drain_loop import Draining
from gateway.stripe_api.times import from_unix
from handlers import HANDLERS

UNTIL_GIVEN_UP = RetryStrategy(wait=15)  # the change itself says when it is abandoned
STRIPE_AWAY = RetryStrategy(max_attempts=12, exponential_wait=2)  # for an hour or two; then it is a failed job
RECONCILING = "reconciling"  # the walks' own queue: a worker may be told to leave it alone, or to do nothing else
OUTAGE_PAUSE = 1  # second before a job tries the database again
STALLED_AFTER = HEARTBEAT_TIMEOUT.total_seconds()  # without a sign of life: its jobs are taken up again

P = ParamSpec("P")

log = structlog.get_logger()


def build_worker(gateway: Gateway, stopping: Event | None = None, linger: float = 0) -> App:
    """The Procrastinate application of one worker process; ``stopping`` is set when it is to end soon.

    ``linger``: for how many seconds a drain waits for further events before it ends.
    """
    stopping = stopping or Event()
    draining = Draining(gateway, HANDLERS, stopping, linger)
    app = App(connector=PsycopgConnector(conninfo=gateway.config.database_url))

    # Each minute as well: the net under the wake-ups. An event whose wake-up was lost waits a minute, not for ever.
    @app.periodic(cron="* * * * *")
    @app.task(name=jobs.DRAIN_INBOX, queueing_lock=jobs.DRAIN_INBOX)
    def drain_inbox(timestamp: int | None = None) -> None:  # noqa: ARG001 - what a periodic task is called with
        draining.run()

    @app.task(name=jobs.REFRESH)
    @outlasting(stopping)
    def refresh_object(kind: str, stripe_id: str, attempt: int = 1) -> None:
        refresh.refresh_or_queue_again(gateway, kind, stripe_id, attempt)

    @app.task(name=jobs.LOOK_UP)
    @outlasting(stopping)
    def look_up(kind: str, stripe_id: str, changed_at: int) -> None:
        refresh.look_up(gateway, kind, stripe_id, from_unix(changed_at))

    @app.task(name=jobs.FINISH_CHANGE, retry=UNTIL_GIVEN_UP)
    def finish_change(change_id: str) -> None:
        execute.finish(gateway, change_id)

    @app.task(name=jobs.CHECK_CHARGE, retry=STRIPE_AWAY)
    def check_charge(change_id: str) -> None:
        charge_check.check(gateway, change_id)

    @app.task(name=jobs.DELIVER_INQUIRY)
    @outlasting(stopping)
    def deliver_inquiry(inquiry_id: str) -> None:
        delivery.deliver_inquiry(gateway, inquiry_id)

    add_walks(app, gateway, stopping)
    add_upkeep(app, gateway)
    return app


def outlasting(stopping: Event) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Make a job wait for the database instead of failing: nobody would do again what only a failed job asked for.

    The thread waits at nobody's cost, since without the database there are no other jobs either. A worker that is
    stopped meanwhile cannot even say that the job failed: it is taken up as that of a killed one.
    """

    def decorated(job: Callable[P, None]) -> Callable[P, None]:
        @wraps(job)
        def outlast(*args: P.args, **kwargs: P.kwargs) -> None:
            while True:
                try:
                    return job(*args, **kwargs)
                except DatabaseUnavailable:
                    log.warning("job_without_database", exc_info=True)
                    if stopping.wait(OUTAGE_PAUSE):
                        raise

        return outlast

    return decorated


def add_walks(app: App, gateway: Gateway, stopping: Event) -> None:
    """Reconciliation, periodically."""

    # A walk that a killed or stopped worker leaves is gone on with at the next turn.
    @app.periodic(cron="*/5 * * * *")
    @app.task(name=jobs.WALK_GAP, queue=RECONCILING, queueing_lock=jobs.WALK_GAP, lock=jobs.WALK_GAP)
    def walk_gap(timestamp: int) -> None:  # noqa: ARG001 - what a periodic task is called with
        follow(gap.walk(gateway, HANDLERS.keys()), jobs.WALK_GAP, stopping)

    # Once a day; looked at each hour, so that an interrupted one does not wait for tomorrow.
    @app.periodic(cron=f"{minute_of(gateway.config.database_url)} * * * *")
    @app.task(name=jobs.WALK_DRIFT, queue=RECONCILING, queueing_lock=jobs.WALK_DRIFT, lock=jobs.WALK_DRIFT)
    def walk_drift(timestamp: int) -> None:  # noqa: ARG001 - what a periodic task is called with
        if drift.is_due(gateway):
            follow(drift.walk(gateway), jobs.WALK_DRIFT, stopping)


def add_upkeep(app: App, gateway: Gateway) -> None:
    """What keeps the database small, the endpoint watched and the jobs going."""

    # The last field is seconds: between the turns of the others, whose failures it forgets once they have gone well.
    @app.periodic(cron="17 * * * * 35")
    @app.task(name=jobs.PRUNE_INBOX, queueing_lock=jobs.PRUNE_INBOX, lock=jobs.PRUNE_INBOX)
    def prune_inbox(timestamp: int | None = None) -> None:  # noqa: ARG001 - what a periodic task is called with
        retention.prune(gateway)

    @app.periodic(cron="27 * * * *")
    @app.task(name=jobs.CHECK_ENDPOINT, queueing_lock=jobs.CHECK_ENDPOINT)
    def check_endpoint(timestamp: int | None = None) -> None:  # noqa: ARG001 - what a periodic task is called with
        endpoint_check.check(gateway, HANDLERS)

    # What a killed worker was at is taken up again within a minute.
    @app.periodic(cron="* * * * * */10")
    @app.task(name="gateway.retry_stalled_jobs", queueing_lock="gateway.retry_stalled_jobs")
    async def retry_stalled_jobs(timestamp: int) -> None:  # noqa: ARG001 - what a periodic task is called with
        for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_AFTER):
            try:
                await app.job_manager.retry_job(job)
            except UniqueViolation:  # another one waits under its queueing lock, and does the same
                await app.job_manager.finish_job(job, Status.FAILED, delete_job=True)
            log.warning("stalled_job_taken_up", task=job.task_name, job_id=job.id)


def follow(walk: Iterable[object], task: str, stopping: Event) -> None:
    """Walk to the end, or until the worker stops; what was committed up to there stays."""
    try:
        for _ in walk:
            if stopping.is_set():
                return
    except ReconciliationInProgress:
        log.info("reconciliation_left_to_another", task=task)
    except StripeUnavailable:
        # No failed job: the next turn goes on from here, and metrics tell since when none has got to its end.
        log.warning("reconciliation_put_off", task=task, exc_info=True)


def minute_of(text: str) -> int:
    """A minute of the hour, another one for each deployment: not all are to ask Stripe at the same time."""
    return crc32(text.encode()) % 60
