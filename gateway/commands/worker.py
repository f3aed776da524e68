"""``gateway worker``: works off the inbox and the jobs, through outages of the database, until it is stopped."""

import asyncio
import signal
import threading
from contextlib import suppress

import click
import psycopg
import structlog
from procrastinate import App
from procrastinate.exceptions import ConnectorException

from gateway import collector
from gateway.commands import parts, refuse_unmigrated
from gateway.db.session import is_outage
from gateway.errors import DatabaseUnavailable
from gateway.services.operations.status import HEARTBEAT_TIMEOUT
from gateway.services.runtime import Gateway
from gateway.services.webhooks.drain_loop import LINGER
from gateway.tasks import build_worker

GRACE = 25  # seconds for jobs that run when it is stopped: less than the 30 that supervisors usually give
LOOK_EVERY = 1  # second: Procrastinate (3.10) forgets a notification that comes while it looks for jobs
PAUSE = 1  # second before the database is tried again
STOP = (signal.SIGTERM, signal.SIGINT)

log = structlog.get_logger()


@click.command()
@click.option("--concurrency", default=4, show_default=True, help="Jobs at a time.")
def worker(concurrency: int) -> None:
    """Work off the inbox and the jobs, until stopped."""
    gateway = parts()
    with suppress(DatabaseUnavailable):  # one that is away is waited for
        refuse_unmigrated(gateway.database)
    collector.relax()
    asyncio.run(work(gateway, concurrency))


async def work(gateway: Gateway, concurrency: int) -> None:
    """Work until SIGTERM or SIGINT; the jobs that run then are let finish. A second signal does what it always does."""
    stopping = threading.Event()
    working = asyncio.create_task(keep_working(build_worker(gateway, stopping, LINGER), concurrency, stopping))
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for number in STOP:
            loop.remove_signal_handler(number)
        stopping.set()
        working.cancel()

    for number in STOP:
        loop.add_signal_handler(number, stop)
    with suppress(asyncio.CancelledError):
        await working


async def keep_working(app: App, concurrency: int, stopping: threading.Event) -> None:
    """Run one worker after the other: Procrastinate's ends when it loses the database, with an error or without.

    What the one before was at is taken up as that of any worker that was killed.
    """
    while not stopping.is_set():
        try:
            async with app.open_async():
                await app.run_worker_async(
                    concurrency=concurrency,
                    fetch_job_polling_interval=LOOK_EVERY,
                    delete_jobs="successful",
                    shutdown_graceful_timeout=GRACE,
                    update_heartbeat_interval=HEARTBEAT_TIMEOUT.total_seconds() / 3,
                    stalled_worker_timeout=HEARTBEAT_TIMEOUT.total_seconds(),
                    install_signal_handlers=False,  # they could not tell its end from being stopped
                )
        except (ConnectorException, psycopg.OperationalError) as error:
            if not is_outage(error if isinstance(error, psycopg.OperationalError) else error.__cause__):
                raise
            log.warning("worker_without_database", exc_info=True)
        await asyncio.sleep(PAUSE)
