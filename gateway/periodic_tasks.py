"""The worker's tasks that run by the clock: the walks, the deliveries of notifications and the upkeep."""

from collections.abc import Iterable
from threading import Event
from zlib import crc32

import structlog
from procrastinate import App
from procrastinate.exceptions import UniqueViolation
from procrastinate.jobs import Status

from gateway.db import jobs
from gateway.errors import ReconciliationInProgress, StripeUnavailable
from gateway.services import grants
from gateway.services.adoption import completion as adoption_completion
from gateway.services.invoices import upcoming
from gateway.services.notifications import delivery
from gateway.services.operations import catalog_check, retention
from gateway.services.operations.status import HEARTBEAT_TIMEOUT
from gateway.services.reconciliation import drift, gap
from gateway.services.runtime import Gateway
from gateway.services.webhooks import endpoint_check
from handlers import HANDLERS

RECONCILING = "reconciling"  # the walks' own queue, so that a worker can leave it out or serve it alone
# Seconds without a heartbeat, after which a worker's jobs are retried.
STALLED_AFTER = HEARTBEAT_TIMEOUT.total_seconds()

log = structlog.get_logger()


def add_walks(app: App, gateway: Gateway, ending: Event) -> None:
    """Add the periodic walks of reconciliation and adoption."""

    # If a worker is killed or stopped during a walk, the next run resumes it.
    @app.periodic(cron="*/5 * * * *")
    @app.task(name=jobs.WALK_GAP, queue=RECONCILING, queueing_lock=jobs.WALK_GAP, lock=jobs.WALK_GAP)
    def walk_gap(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate passes it to a periodic task
        run_walk(gap.walk(gateway, HANDLERS.keys()), jobs.WALK_GAP, ending)

    # The walk runs once a day. The hourly check lets an interrupted walk resume before tomorrow.
    @app.periodic(cron=f"{minute_for(gateway.config.database_url)} * * * *")
    @app.task(name=jobs.WALK_DRIFT, queue=RECONCILING, queueing_lock=jobs.WALK_DRIFT, lock=jobs.WALK_DRIFT)
    def walk_drift(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate passes it to a periodic task
        if drift.is_due(gateway):
            run_walk(drift.walk(gateway), jobs.WALK_DRIFT, ending)

    @app.periodic(cron="* * * * *")
    @app.task(
        name=jobs.COMPLETE_ADOPTIONS,
        queue=RECONCILING,
        queueing_lock=jobs.COMPLETE_ADOPTIONS,
        lock=jobs.COMPLETE_ADOPTIONS,
    )
    def complete_adoptions(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate passes it to a periodic task
        run_walk(adoption_completion.complete_all(gateway), jobs.COMPLETE_ADOPTIONS, ending)


def add_notifications(app: App, gateway: Gateway, ending: Event) -> None:
    """Add one periodic task for each receiver of notifications, so that a slow one does not delay the others."""
    for name in gateway.receivers:
        task = f"{jobs.DELIVER_NOTIFICATIONS}.{name}"

        # Runs every five seconds. The lock keeps the order, because two runs might send two notifications of one
        # organization at the same moment.
        @app.periodic(cron="* * * * * */5")
        @app.task(name=task, queueing_lock=task, lock=task)
        def deliver_notifications(timestamp: int | None = None, name: str = name) -> None:  # noqa: ARG001 - Procrastinate passes it to a periodic task
            for _ in delivery.deliver_due(gateway, name):
                if ending.is_set():
                    return


def add_upkeep(app: App, gateway: Gateway) -> None:
    """Add the tasks of upkeep, and those that end grants, calculate charges ahead and retry stalled jobs."""

    # The last field is seconds. The task runs between the others and deletes their failures once they have succeeded.
    @app.periodic(cron="17 * * * * 35")
    @app.task(name=jobs.PRUNE_INBOX, queueing_lock=jobs.PRUNE_INBOX, lock=jobs.PRUNE_INBOX)
    def prune_inbox(timestamp: int | None = None) -> None:  # noqa: ARG001 - Procrastinate passes it to a periodic task
        retention.prune(gateway)

    @app.periodic(cron="27 * * * *")
    @app.task(name=jobs.CHECK_ENDPOINT, queueing_lock=jobs.CHECK_ENDPOINT)
    def check_endpoint(timestamp: int | None = None) -> None:  # noqa: ARG001 - Procrastinate passes it to a periodic task
        endpoint_check.check_endpoint(gateway, HANDLERS)
        catalog_check.check_prices(gateway)

    @app.periodic(cron="* * * * *")
    @app.task(name=jobs.END_GRANTS, queueing_lock=jobs.END_GRANTS)
    def end_grants(timestamp: int | None = None) -> None:  # noqa: ARG001 - Procrastinate passes it to a periodic task
        grants.end_due_grants(gateway)

    @app.periodic(cron=f"{minute_for(gateway.config.database_url)} * * * *")
    @app.task(name=jobs.CALCULATE_CHARGES, queueing_lock=jobs.CALCULATE_CHARGES)
    def calculate_charges(timestamp: int | None = None) -> None:  # noqa: ARG001 - Procrastinate passes it to a periodic task
        upcoming.calculate_charges(gateway)

    # The jobs of a killed worker are retried within a minute.
    @app.periodic(cron="* * * * * */10")
    @app.task(name="gateway.retry_stalled_jobs", queueing_lock="gateway.retry_stalled_jobs")
    async def retry_stalled_jobs(timestamp: int) -> None:  # noqa: ARG001 - Procrastinate passes it to a periodic task
        for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_AFTER):
            try:
                await app.job_manager.retry_job(job)
            except UniqueViolation:  # another job waits under this lock and will do the same work
                await app.job_manager.finish_job(job, Status.FAILED, delete_job=True)
            log.warning("stalled_job_taken_up", task=job.task_name, job_id=job.id)


def run_walk(walk: Iterable[object], task: str, ending: Event) -> None:
    """Run a walk to its end or until the worker ends. Its committed steps stay."""
    try:
        for _ in walk:
            if ending.is_set():
                return
    except ReconciliationInProgress:
        log.info("reconciliation_left_to_another", task=task)
    except StripeUnavailable:
        # Not a failed job, because the next run resumes here. Metrics show how long the walk has been unfinished.
        log.warning("reconciliation_put_off", task=task, exc_info=True)


def minute_for(text: str) -> int:
    """Return a minute of the hour that differs by deployment, so that they do not all call Stripe together."""
    return crc32(text.encode()) % 60
