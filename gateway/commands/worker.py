"""``gateway worker`` processes the inbox and the jobs until it is stopped. It survives outages of the database."""

import asyncio
import logging
import os
import signal
import threading
from contextlib import suppress
from typing import Any

import click
import psycopg
import structlog
from procrastinate import App, JobContext
from procrastinate.exceptions import ConnectorException
from procrastinate.middleware import AsyncCallNext
from procrastinate.worker import Worker
from psycopg.errors import ForeignKeyViolation

from gateway import gc_tuning
from gateway.commands.loading import STRIPE, load_gateway, refuse_unmigrated
from gateway.db.pooler import refuse_pooler
from gateway.db.queue import lacks_database
from gateway.db.session import Database
from gateway.errors import DatabaseUnavailable
from gateway.job_log import log_job
from gateway.services.operations.status import HEARTBEAT_TIMEOUT
from gateway.services.operations.worker_reports import REPORT_EVERY, report_worker
from gateway.services.runtime import Gateway
from gateway.services.webhooks.drain_loop import LINGER
from gateway.services.webhooks.wakeup import defer_drain
from gateway.stripe_api.gate import Share
from gateway.supervision import FETCH, LIMIT, Supervision
from gateway.tasks import build_worker

GRACE = 25  # seconds for running jobs to end at a stop, less than the 30 that supervisors usually give
LOOK_EVERY = 1  # second. Procrastinate 3.10 loses a notification that comes while it looks for jobs
OUTAGE_PAUSE = 1  # seconds before the worker tries the database again
STOP = (signal.SIGTERM, signal.SIGINT)

log = structlog.get_logger()


@click.command()
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Number of jobs that run at a time.",
)
def worker(concurrency: int) -> None:
    """Process the inbox and the jobs until stopped."""
    gateway = load_gateway(STRIPE, Share.of_worker(concurrency), logging.INFO)
    refuse_pooler(gateway.database)
    with suppress(DatabaseUnavailable):  # the worker waits for a database that is down
        refuse_unmigrated(gateway.database)
    gc_tuning.reduce_gc()
    asyncio.run(work(gateway, concurrency))


async def work(gateway: Gateway, concurrency: int) -> None:
    """Work until SIGTERM or SIGINT, then let running jobs finish. A second signal has its default effect."""
    supervised = Supervision()
    watching = threading.Thread(target=watch, args=(gateway.database, supervised), name="watchdog", daemon=True)
    watching.start()
    working = asyncio.create_task(keep_working(gateway, concurrency, supervised))
    reporting = asyncio.create_task(keep_reporting(gateway, supervised))
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for number in STOP:
            loop.remove_signal_handler(number)
        supervised.stopping.set()
        supervised.ending.set()
        working.cancel()

    for number in STOP:
        loop.add_signal_handler(number, stop)
    with suppress(asyncio.CancelledError):
        await working
    reporting.cancel()


async def keep_reporting(gateway: Gateway, supervised: Supervision) -> None:
    """Report regularly whether this machine's clock is wrong, and whether its connection was lost."""
    while True:
        with suppress(DatabaseUnavailable):
            await asyncio.to_thread(report_worker, gateway, supervised.take_losses())
        await asyncio.sleep(REPORT_EVERY.total_seconds())


async def keep_working(gateway: Gateway, concurrency: int, supervised: Supervision) -> None:
    """Start Procrastinate's worker again whenever it ends, with an error or without.

    Its statements wait for a lost database, so it ends only if it cannot know whether it has taken a job, or if another
    worker took it for dead. Its jobs are then retried like those of a killed worker.
    """
    app = build_worker(gateway, supervised, LINGER)
    async with app.open_async():
        while not supervised.stopping.is_set():
            try:
                # Without this drain, events that are due already would wait for the next full minute.
                await asyncio.to_thread(defer_drain, gateway.database)
                await EndingWorker(app, supervised, concurrency).run()  # type: ignore[no-untyped-call]  # Procrastinate's
            except (ConnectorException, DatabaseUnavailable) as error:
                if not (lacks_database(error) or isinstance(error.__cause__, ForeignKeyViolation)):
                    raise
                log.warning("worker_without_database", exc_info=True)
            await asyncio.sleep(OUTAGE_PAUSE)


async def leave_to_next_run(run: AsyncCallNext, context: JobContext, _worker: object) -> Any:
    """Run a job. If it is periodic and lacks the database, its next run does the work, so it does not fail.

    A failed job would raise an alarm for an outage that is over.
    """
    try:
        return await run()
    except (ConnectorException, DatabaseUnavailable) as error:
        periodic = {each.task.name for each in context.app.periodic_registry.periodic_tasks.values()}
        if context.job.task_name not in periodic or not lacks_database(error):
            raise


class EndingWorker(Worker):
    """Procrastinate's worker, which tells its jobs to end when it stops. It also stops when a loop of its own fails.

    Procrastinate waits for running jobs before it starts again. Under steady load, a drain would never end by itself.
    """

    def __init__(self, app: App, supervised: Supervision, concurrency: int) -> None:
        """Expect no loop to turn yet."""
        super().__init__(
            app,
            concurrency=concurrency,
            fetch_job_polling_interval=LOOK_EVERY,
            delete_jobs="successful",
            shutdown_graceful_timeout=GRACE,
            update_heartbeat_interval=HEARTBEAT_TIMEOUT.total_seconds() / 3,
            stalled_worker_timeout=HEARTBEAT_TIMEOUT.total_seconds(),
            install_signal_handlers=False,  # with them, `keep_working` would take a stop for a lost database
            worker_middleware=[self._note_job, leave_to_next_run, log_job],
        )
        self._supervised = supervised
        self._jobs = 0
        supervised.reset()
        supervised.ending.clear()

    async def _periodic_deferrer(self) -> None:
        """Start again after an outage. Otherwise the loop would make up for each turn that it missed."""
        while True:
            try:
                await super()._periodic_deferrer()  # type: ignore[no-untyped-call]  # Procrastinate's
            except ConnectorException as error:
                if not lacks_database(error):
                    raise
            await asyncio.sleep(OUTAGE_PAUSE)

    def stop(self) -> None:
        """Stop, and make the jobs end."""
        self._supervised.ending.set()
        super().stop()  # type: ignore[no-untyped-call]  # Procrastinate's

    async def _note_job(self, run: AsyncCallNext, _context: JobContext, _worker: Worker) -> Any:
        """Run a job. While all slots are taken, the worker need not fetch another."""
        self._jobs += 1
        if self._jobs == self.concurrency:
            self._supervised.rest(FETCH)
        try:
            return await run()
        finally:
            self._jobs -= 1
            self._supervised.beat(FETCH)


def watch(database: Database, supervised: Supervision) -> None:
    """End the process if one of its loops does not turn, so that its supervisor restarts it.

    Without the database no loop can turn, so that time does not count.
    """
    while not supervised.stopping.wait(1):
        if (loop := supervised.count_second()) is None:
            continue
        try:
            database.connect().close()
        except psycopg.Error:
            supervised.reset()
        else:
            log.critical("worker_loop_stuck", loop=loop, seconds=LIMIT)
            os._exit(1)
