"""``gateway worker`` processes the inbox and the jobs until it is stopped. It survives outages of the database."""

import asyncio
import signal
import threading
from contextlib import suppress

import click
import psycopg
import structlog
from procrastinate.exceptions import ConnectorException

from gateway import gc_tuning
from gateway.commands.loading import load_gateway, refuse_unmigrated
from gateway.db.session import is_outage
from gateway.errors import DatabaseUnavailable
from gateway.services.operations.status import HEARTBEAT_TIMEOUT
from gateway.services.runtime import Gateway
from gateway.services.webhooks.drain_loop import LINGER
from gateway.services.webhooks.wakeup import defer_drain
from gateway.stripe_api.gate import Share
from gateway.tasks import build_worker

GRACE = 25  # seconds for running jobs to end at a stop, less than the 30 that supervisors usually give
LOOK_EVERY = 1  # second. Procrastinate 3.10 loses a notification that comes while it looks for jobs
OUTAGE_PAUSE = 1  # second before the worker tries the database again
STOP = (signal.SIGTERM, signal.SIGINT)

log = structlog.get_logger()


@click.command()
@click.option("--concurrency", default=4, show_default=True, help="Number of jobs that run at a time.")
def worker(concurrency: int) -> None:
    """Process the inbox and the jobs until stopped."""
    gateway = load_gateway(Share.of_worker(concurrency))
    with suppress(DatabaseUnavailable):  # the worker waits for a database that is down
        refuse_unmigrated(gateway.database)
    gc_tuning.reduce_gc()
    asyncio.run(work(gateway, concurrency))


async def work(gateway: Gateway, concurrency: int) -> None:
    """Work until SIGTERM or SIGINT, then let running jobs finish. A second signal has its default effect."""
    stopping = threading.Event()
    working = asyncio.create_task(keep_working(gateway, concurrency, stopping))
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


async def keep_working(gateway: Gateway, concurrency: int, stopping: threading.Event) -> None:
    """Start Procrastinate's worker again whenever it loses the database and ends, with an error or without.

    The jobs of the worker that ended are retried like those of a killed worker.
    """
    app = build_worker(gateway, stopping, LINGER)
    while not stopping.is_set():
        try:
            # Without this drain, events that became due during an outage would wait for the next full minute. It also
            # fails until the database is back, and then the pool opens without delay.
            await asyncio.to_thread(defer_drain, gateway.database)
            async with app.open_async():
                await app.run_worker_async(
                    concurrency=concurrency,
                    fetch_job_polling_interval=LOOK_EVERY,
                    delete_jobs="successful",
                    shutdown_graceful_timeout=GRACE,
                    update_heartbeat_interval=HEARTBEAT_TIMEOUT.total_seconds() / 3,
                    stalled_worker_timeout=HEARTBEAT_TIMEOUT.total_seconds(),
                    install_signal_handlers=False,  # with them, this loop would take a stop for a lost database
                )
        except (ConnectorException, psycopg.Error, DatabaseUnavailable) as error:
            if not (isinstance(error, DatabaseUnavailable) or is_outage(error) or is_outage(error.__cause__)):
                raise
            log.warning("worker_without_database", exc_info=True)
        await asyncio.sleep(OUTAGE_PAUSE)
