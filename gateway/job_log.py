"""Log each job of the worker with its duration and its outcome."""

import asyncio
import time
from typing import Any

import structlog
from procrastinate import JobContext
from procrastinate.middleware import AsyncCallNext
from structlog.contextvars import bind_contextvars

from gateway import telemetry

log = structlog.get_logger()


async def log_job(call_next: AsyncCallNext, context: JobContext, _worker: object) -> Any:
    """Run a job. Bind its id and the ids among its arguments to all that it logs.

    Procrastinate runs each job in a task of its own, so what is bound ends with the job.
    """
    job = context.job
    ids = {name: each for name, each in job.task_kwargs.items() if name.endswith("_id") and isinstance(each, str)}
    bind_contextvars(**ids, job_id=job.id, task=job.task_name)
    started, outcome = time.monotonic(), "done"
    try:
        with telemetry.span("job", task=job.task_name, job_id=job.id, **ids):
            return await call_next()
    except asyncio.CancelledError:
        outcome = "stopped"
        raise
    except Exception as error:
        outcome = type(error).__name__  # Procrastinate logs the traceback
        raise
    finally:
        log.info("job_ended", outcome=outcome, ms=round((time.monotonic() - started) * 1000, 1), retries=job.attempts)
