"""gunicorn's logger. It writes JSON, without the parts of a request that may hold a secret."""

import logging
from datetime import timedelta
from typing import Any

import structlog
from gunicorn.glogging import Logger
from structlog.contextvars import clear_contextvars

from gateway.logging import build_formatter

log = structlog.get_logger("gunicorn.access")


class AccessLogger(Logger):
    """Logs each answer with what its request has bound, such as its id and its organization."""

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:  # noqa: ARG002 - gunicorn passes it
        """Log an answer with the path as it was sent. Leave out the query string, the referrer and the user name."""
        if self.access_log_enabled:
            log.info(
                "request",
                method=environ["REQUEST_METHOD"],
                path=environ["RAW_URI"].partition("?")[0],
                status=resp.status_code,
                bytes=resp.sent,
                ms=round(request_time.total_seconds() * 1000, 1),
                client=environ["REMOTE_ADDR"],
            )
        clear_contextvars()  # the next request may be refused before it binds ids of its own

    def _set_handler(self, log: Any, output: str | None, fmt: logging.Formatter, stream: Any = None) -> None:  # noqa: ARG002 - ours replaces it
        super()._set_handler(log, output, build_formatter(), stream)
