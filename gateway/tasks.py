"""The worker: Procrastinate's application and its tasks, which call services and do nothing else."""

from procrastinate import App, PsycopgConnector, RetryStrategy

from gateway.db import jobs
from gateway.services import drain, plan_changes, refresh
from gateway.services.context import Gateway
from handlers import HANDLERS

# Stripe or the database is away: wait longer each time, about an hour in all; reconciliation finds what is left.
RETRY = RetryStrategy(max_attempts=10, exponential_wait=2)
RETRY_UNTIL_GIVEN_UP = RetryStrategy(wait=30)  # the change itself says when it is abandoned
STALLED_AFTER = 30  # seconds without a heartbeat: the worker was killed, its jobs are taken up again


def build_worker(gateway: Gateway) -> App:
    """The Procrastinate application of one worker process."""
    app = App(connector=PsycopgConnector(conninfo=gateway.config.database_url))

    # Each minute as well: the net under the wake-ups. An event whose wake-up was lost waits a minute, not for ever.
    @app.periodic(cron="* * * * *")
    @app.task(name=jobs.DRAIN_INBOX, queueing_lock=jobs.DRAIN_INBOX, retry=RETRY)
    def drain_inbox(timestamp: int | None = None) -> None:  # noqa: ARG001 - what a periodic task is called with
        drain.drain(gateway, HANDLERS)

    @app.task(name=jobs.REFRESH, retry=RETRY)
    def refresh_object(kind: str, stripe_id: str) -> None:
        refresh.refresh(gateway, kind, stripe_id)

    @app.task(name=jobs.FINISH_CHANGE, retry=RETRY_UNTIL_GIVEN_UP)
    def finish_change(change_id: str) -> None:
        plan_changes.finish(gateway, change_id)

    @app.periodic(cron="* * * * *")
    @app.task(name="gateway.retry_stalled_jobs", queueing_lock="gateway.retry_stalled_jobs")
    async def retry_stalled_jobs(timestamp: int) -> None:  # noqa: ARG001 - see above
        for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_AFTER):
            await app.job_manager.retry_job(job)

    return app
